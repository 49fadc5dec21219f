"""The probes and the metrics: for Kubernetes and Prometheus, not for clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from mcq_service.telemetry.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from mcq_service.lifecycle import Lifecycle

router = APIRouter(tags=["health"])


@router.get("/startupz")
async def startupz(request: Request) -> JSONResponse:
    """200 once the model is loaded and warm; until then 503 with how far it is."""
    return _state(request, healthy=_lifecycle(request).started)


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """200 while new questions are answered."""
    return _state(request, healthy=_lifecycle(request).is_ready)


@router.get("/livez")
async def livez(request: Request) -> JSONResponse:
    """200 while the process is sound; 503 asks for a restart."""
    return _state(request, healthy=_lifecycle(request).is_alive)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Metrics in OpenMetrics text."""
    return Response(request.app.state.metrics.exposition(), media_type=CONTENT_TYPE)


def _lifecycle(request: Request) -> Lifecycle:
    found: Lifecycle = request.app.state.lifecycle
    return found


def _state(request: Request, *, healthy: bool) -> JSONResponse:
    state = _lifecycle(request)
    return JSONResponse(
        {"status": state.status, "detail": state.detail, "progress": state.progress},
        status_code=200 if healthy else 503,
    )
