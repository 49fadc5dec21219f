"""Every error leaves as an RFC 9457 problem, from here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mcq_service.api.http import validation
from mcq_service.api.openai import errors as openai_errors
from mcq_service.api.problems import (
    MEDIA_TYPE,
    InternalError,
    NoSuchMethod,
    NoSuchPath,
    ProblemError,
    unexpected,
)

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from starlette.types import Scope

_log = logging.getLogger(__name__)
# Whose refusals are counted, and the mode that they are counted under before the request's own is known.
_COUNTED = {
    "/api/v1/mcq/answer": "unknown",
    "/api/v1/mcq/answers": "unknown",
    "/v1/completions": "completion",
    "/v1/chat/completions": "chat",
}


def install(app: FastAPI) -> None:
    """Answer these exceptions with problems."""
    app.add_exception_handler(ProblemError, _expected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(MemoryError, _unexpected)
    app.add_exception_handler(Exception, _unexpected)


def response(scope: Scope, error: ProblemError) -> JSONResponse:
    """The problem as a response, in the form that the clients of this path read."""
    if scope["path"].startswith(openai_errors.PREFIX):
        return openai_errors.response(error)
    body = error.problem().model_dump(exclude_none=True)
    return JSONResponse(body, status_code=error.status, headers=error.headers, media_type=MEDIA_TYPE)


def counted(scope: Scope, error: ProblemError) -> JSONResponse:
    """The problem as a response, counted if it was a question's or a text's."""
    unread = _COUNTED.get(scope["path"])
    if unread is not None:
        mode = scope.get("state", {}).get("mode", unread)
        scope["app"].state.metrics.refused(mode=mode, outcome=error.slug)
    return response(scope, error)


async def _expected(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)  # noqa: S101 - registered for this type only
    return counted(request.scope, error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return counted(request.scope, validation.of_pydantic(error.errors(), lambda location: list(location[1:])))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    headers = dict(error.headers or {})
    if isinstance(error.__cause__, ProblemError):
        # FastAPI makes a 400 of whatever is raised while it reads the body.
        return counted(request.scope, error.__cause__)
    if error.status_code == NoSuchPath.status:
        return response(
            request.scope, NoSuchPath("POST a question to /api/v1/mcq/answer; /openapi.json has all paths.")
        )
    if error.status_code == NoSuchMethod.status:
        allowed = headers.get("allow") or headers.get("Allow") or "another method"
        return response(request.scope, NoSuchMethod(f"Use {allowed}.", headers=headers))
    _log.error("unexpected HTTP error %s", error.status_code, exc_info=error)
    return response(request.scope, InternalError("The service's log says more."))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    return counted(request.scope, unexpected(error))
