"""Every error leaves as an RFC 9457 problem, from here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mcq_service.problems import (
    InternalError,
    InvalidQuestion,
    NoSuchMethod,
    NoSuchPath,
    ProblemError,
)
from mcq_service.protocol import InvalidField
from mcq_service.protocol.problem import MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from fastapi import FastAPI, Request
    from starlette.types import Scope

_log = logging.getLogger(__name__)
ANSWER_PATH = "/api/v1/mcq/answer"
ANSWERS_PATH = "/api/v1/mcq/answers"


def install(app: FastAPI) -> None:
    """Answer these exceptions with problems."""
    app.add_exception_handler(ProblemError, _expected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def response(error: ProblemError) -> JSONResponse:
    """The problem as a response."""
    body = error.problem().model_dump(exclude_none=True)
    return JSONResponse(body, status_code=error.status, headers=error.headers, media_type=MEDIA_TYPE)


def counted(scope: Scope, error: ProblemError) -> JSONResponse:
    """The problem as a response, counted if it was a question's; the mode is "unknown" before it is read."""
    if scope["path"] in {ANSWER_PATH, ANSWERS_PATH}:
        mode = scope.get("state", {}).get("mode", "unknown")
        scope["app"].state.metrics.refused(mode=mode, outcome=error.slug)
    return response(error)


def pointer(steps: Sequence[str | int]) -> str:
    """An RFC 6901 pointer."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


async def _expected(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)  # noqa: S101 - registered for this type only
    return counted(request.scope, error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = [InvalidField(pointer=_pointer(each["loc"]), detail=each["msg"]) for each in error.errors()]
    where = errors[0].pointer.removeprefix("/").replace("/", ".") or "the body"
    return counted(request.scope, InvalidQuestion(f"{where}: {errors[0].detail}.", errors=errors))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    headers = dict(error.headers or {})
    if isinstance(error.__cause__, ProblemError):
        # FastAPI makes a 400 of whatever is raised while it reads the body.
        return counted(request.scope, error.__cause__)
    if error.status_code == NoSuchPath.status:
        return response(NoSuchPath("POST a question to /api/v1/mcq/answer; /openapi.json has all paths."))
    if error.status_code == NoSuchMethod.status:
        allowed = headers.get("allow") or headers.get("Allow") or "another method"
        return response(NoSuchMethod(f"Use {allowed}.", headers=headers))
    _log.error("unexpected HTTP error %s", error.status_code, exc_info=error)
    return response(InternalError("The service's log says more."))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _log.error("a request failed", exc_info=error)
    return counted(request.scope, InternalError("This is a defect of the service; its log says more."))


def _pointer(location: Sequence[Any]) -> str:
    """The pointer of pydantic's location, which starts with "body"."""
    steps = list(location[1:])
    of_batch = 2 if steps[:1] == ["questions"] else 0
    if steps[of_batch : of_batch + 1] == ["choices"]:
        # choices, list or map (pydantic names the form it took, which is no part of the body), index or label
        steps = [*steps[: of_batch + 1], *steps[of_batch + 2 : of_batch + 3]]
    return pointer(steps)
