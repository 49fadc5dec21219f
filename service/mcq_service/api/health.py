"""Probes and metrics, for Kubernetes, the operator and Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from mcq_service.runtime.lifecycle import Status
from mcq_service.telemetry.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from mcq_service.runtime.api_keys import ApiKeys
    from mcq_service.runtime.lifecycle import Lifecycle

probes = APIRouter(tags=["health"])
"""Routes for the kubelet."""
router = APIRouter(tags=["health"])
"""Routes for the operator and Prometheus: on the probe port, if there is one, so that no Ingress leads to them."""


class KeyCounts(BaseModel):
    """The number of API keys; their names are in the replica's log."""

    accepted: int = Field(description="Keys that let a client in.")
    invalid: int = Field(description="Entries that can't be used; 1 if the file itself can't be read.")


class ReplicaState(BaseModel):
    """The state of a replica between its start and its end."""

    status: Status
    detail: str
    progress: float | None = Field(description="0 to 1 within the status; null if unknown.")
    api_keys: KeyCounts | None = Field(description="Null if no key is needed.")


class ModeTraffic(BaseModel):
    """The number of answered questions of one mode, and their total time in seconds."""

    questions: int
    seconds: float


class ReplicaTraffic(BaseModel):
    """The users' questions of a replica since its start, without those of exams."""

    outcomes: dict[str, int] = Field(description="Questions by outcome, as in mcq_requests_total.")
    modes: dict[str, ModeTraffic]


class SelfTestResult(BaseModel):
    """The replica answered a test question."""

    seconds: float = Field(description="From its admission to its answer.")


_STATES: dict[int | str, dict[str, Any]] = {503: {"model": ReplicaState, "description": "No, or not yet."}}
_METRICS: dict[int | str, dict[str, Any]] = {
    200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}, "description": "OpenMetrics text."}
}


@probes.get("/startupz", responses=_STATES)
async def startupz(request: Request, response: Response) -> ReplicaState:
    """200 once the model is loaded and warm; before that 503 with the progress."""
    return _state(request, response, healthy=_lifecycle(request).started)


@probes.get("/health", responses=_STATES)
@probes.get("/readyz", responses=_STATES)
async def readyz(request: Request, response: Response) -> ReplicaState:
    """200 while new questions are answered. Clients of vLLM and llama-server know it as /health."""
    return _state(request, response, healthy=_lifecycle(request).is_ready)


@probes.get("/livez", responses=_STATES)
async def livez(request: Request, response: Response) -> ReplicaState:
    """200 while the process works; 503 asks for a restart."""
    return _state(request, response, healthy=_lifecycle(request).is_alive)


@router.get("/answerz")
async def answerz(request: Request) -> SelfTestResult:
    """200 if the replica answered a test question, processed like a client's. Needs no key."""
    return SelfTestResult(seconds=await _lifecycle(request).require_backend().selftest.seconds())


@router.get("/trafficz")
async def trafficz(request: Request) -> ReplicaTraffic:
    """Return the users' questions of this replica since its start, for the operator."""
    traffic = request.app.state.metrics.traffic()
    modes = {
        mode: ModeTraffic(questions=count, seconds=seconds)
        for mode, (count, seconds) in traffic.modes.items()
    }
    return ReplicaTraffic(outcomes=traffic.outcomes, modes=modes)


@router.get("/metrics", responses=_METRICS, response_class=Response)
async def metrics(request: Request) -> Response:
    """Metrics in OpenMetrics text."""
    return Response(request.app.state.metrics.exposition(), media_type=CONTENT_TYPE)


def _lifecycle(request: Request) -> Lifecycle:
    lifecycle: Lifecycle = request.app.state.lifecycle
    return lifecycle


def _state(request: Request, response: Response, *, healthy: bool) -> ReplicaState:
    response.status_code = 200 if healthy else 503
    lifecycle = _lifecycle(request)
    keys: ApiKeys | None = request.app.state.keys
    counts = keys and KeyCounts(accepted=keys.accepted, invalid=keys.faults)
    return ReplicaState(
        status=lifecycle.status, detail=lifecycle.detail, progress=lifecycle.progress, api_keys=counts
    )
