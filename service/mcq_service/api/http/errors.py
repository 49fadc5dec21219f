"""Turn every error into an RFC 9457 problem response, or into OpenAI's form below /v1/."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mcq_service.api.error_mapping import EXPECTED, as_problem
from mcq_service.api.http import validation
from mcq_service.api.openai import errors as openai_errors
from mcq_service.api.problems import (
    MEDIA_TYPE,
    InternalError,
    NoSuchMethod,
    NoSuchPath,
    ProblemError,
)

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from starlette.types import Scope

_log = logging.getLogger(__name__)
# Paths with counted refusals, and the mode to count until the request's own is known.
_COUNTED = {
    "/api/v1/mcq/answer": "unknown",
    "/api/v1/mcq/answers": "unknown",
    "/v1/completions": "completion",
    "/v1/chat/completions": "chat",
    "/v1/decisions": "decide",
    "/v1/systemone": "decide",
}


def install(app: FastAPI) -> None:
    """Answer all exceptions with problems."""
    for kind in (ProblemError, MemoryError, *EXPECTED, Exception):
        app.add_exception_handler(kind, _on_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


def problem_response(scope: Scope, error: ProblemError) -> JSONResponse:
    """Return the problem as a response, in the form for this path's clients."""
    if scope["path"].startswith(openai_errors.PREFIX):
        return openai_errors.json_response(error)
    body = error.problem().model_dump(exclude_none=True)
    return JSONResponse(body, status_code=error.status, headers=error.headers, media_type=MEDIA_TYPE)


def counted_response(scope: Scope, error: ProblemError) -> JSONResponse:
    """Return the problem as a response; count it if the path answers questions or writes text."""
    unknown_mode = _COUNTED.get(scope["path"])
    if unknown_mode is not None:
        mode = scope.get("state", {}).get("mode", unknown_mode)
        scope["app"].state.metrics.refused(mode=mode, outcome=error.slug)
    return problem_response(scope, error)


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    return counted_response(request.scope, as_problem(error))


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problem = validation.from_pydantic(error.errors(), error.body)
    return counted_response(request.scope, problem)


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if isinstance(error.__cause__, ProblemError):
        # FastAPI turns every error that it meets while reading the body into a 400.
        return counted_response(request.scope, error.__cause__)
    if error.status_code == NoSuchPath.status:
        return problem_response(
            request.scope, NoSuchPath("POST a question to /api/v1/mcq/answer; /openapi.json lists all paths.")
        )
    if error.status_code == NoSuchMethod.status:
        allowed = headers.get("allow") or headers.get("Allow") or "another method"
        return problem_response(request.scope, NoSuchMethod(f"Use {allowed}.", headers=headers))
    _log.error("unexpected HTTP error %s", error.status_code, exc_info=error)
    return problem_response(request.scope, InternalError("The service's log says more."))
