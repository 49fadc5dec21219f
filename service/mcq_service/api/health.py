"""The probes and the metrics: for Kubernetes and Prometheus, not for clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from mcq_service.runtime.lifecycle import Status
from mcq_service.telemetry.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from mcq_service.runtime.api_keys import Keys
    from mcq_service.runtime.lifecycle import Lifecycle

probes = APIRouter(tags=["health"])
"""What the kubelet asks."""
router = APIRouter(tags=["health"])
"""What the operator and Prometheus ask: on the port for probes where there is one, so that no Ingress leads to it."""


class KeyState(BaseModel):
    """How many API keys the replica has; their names are in its log."""

    accepted: int = Field(description="Keys that let a client in.")
    invalid: int = Field(description="Entries that can't be used; 1 where the file itself can't be.")


class State(BaseModel):
    """Where a replica is between its start and its end."""

    status: Status
    detail: str
    progress: float | None = Field(description="0 to 1 within the status; null where unknown.")
    api_keys: KeyState | None = Field(description="Null where no key is needed.")


class SelfTested(BaseModel):
    """A test question was answered."""

    seconds: float = Field(description="From its admission to its answer.")


_STATES: dict[int | str, dict[str, Any]] = {503: {"model": State, "description": "Not, or not yet."}}
_METRICS: dict[int | str, dict[str, Any]] = {
    200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}, "description": "OpenMetrics text."}
}


@probes.get("/startupz", responses=_STATES)
async def startupz(request: Request, response: Response) -> State:
    """200 once the model is loaded and warm; until then 503 with how far it is."""
    return _state(request, response, healthy=_lifecycle(request).started)


@probes.get("/readyz", responses=_STATES)
async def readyz(request: Request, response: Response) -> State:
    """200 while new questions are answered."""
    return _state(request, response, healthy=_lifecycle(request).is_ready)


@probes.get("/livez", responses=_STATES)
async def livez(request: Request, response: Response) -> State:
    """200 while the process is sound; 503 asks for a restart."""
    return _state(request, response, healthy=_lifecycle(request).is_alive)


@router.get("/answerz")
async def answerz(request: Request) -> SelfTested:
    """200 if a test question was answered, through all that a client's goes through; nobody needs a key for it."""
    return SelfTested(seconds=await _lifecycle(request).require_serving().selftest.seconds())


@router.get("/metrics", responses=_METRICS, response_class=Response)
async def metrics(request: Request) -> Response:
    """Metrics in OpenMetrics text."""
    return Response(request.app.state.metrics.exposition(), media_type=CONTENT_TYPE)


def _lifecycle(request: Request) -> Lifecycle:
    found: Lifecycle = request.app.state.lifecycle
    return found


def _state(request: Request, response: Response, *, healthy: bool) -> State:
    response.status_code = 200 if healthy else 503
    found = _lifecycle(request)
    keys: Keys | None = request.app.state.keys
    counted = keys and KeyState(accepted=keys.accepted, invalid=keys.faults)
    return State(status=found.status, detail=found.detail, progress=found.progress, api_keys=counted)
