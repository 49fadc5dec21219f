"""The backend that answers a request, and the check that it serves the requested model."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from mcq_service.api.openai.schemas import ErrorResponse
from mcq_service.api.problems import NoSuchModel
from mcq_service.runtime.builder import Backend

NO_SUCH_MODEL: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "There is no such model here."}
}


async def current_backend(request: Request) -> Backend:
    """Return the backend. Raises NotReady before the model is loaded, Draining after SIGTERM."""
    backend: Backend = request.app.state.lifecycle.require_backend()
    return backend


BackendDep = Annotated[Backend, Depends(current_backend)]


def check_model(requested: str | None, served: str) -> None:
    """Raise NoSuchModel if a request names another model than the served one."""
    if requested not in {None, served}:
        raise NoSuchModel(f"This replica serves {served}.")
