"""What FastAPI can't know of the OpenAPI document: the problems that middleware answers with, and the key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcq_service.api.http.authentication import needs_key
from mcq_service.api.openai import errors
from mcq_service.api.problems import (
    MEDIA_TYPE,
    BadEngine,
    BodyTooLarge,
    BodyTooSlow,
    DeadlineExceeded,
    Draining,
    HeadersTooLarge,
    InvalidQuestion,
    MalformedBody,
    MalformedRequest,
    NotReady,
    Overloaded,
    Problem,
    Unauthorized,
    UnsupportedMediaType,
)

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mcq_service.api.problems import ProblemError

_OF_A_BODY = (MalformedBody, BodyTooSlow, BodyTooLarge, UnsupportedMediaType, InvalidQuestion)
_OF_AN_ENGINE = (Overloaded, NotReady, Draining, DeadlineExceeded, BadEngine)
_ASKS_THE_ENGINE = "/answerz"
_HEADERS = {
    Unauthorized: {"WWW-Authenticate": {"description": "Bearer.", "schema": {"type": "string"}}},
    Overloaded: {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}},
}
_SCHEME = "key"
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_FAILURE = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}


def describe(app: FastAPI, *, keyed: bool) -> None:
    """Complete the app's OpenAPI document, once all its routes are there; `keyed`: a key is asked for."""
    document = app.openapi()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["InvalidField"], schemas["Problem"] = _schemas()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _describe(path, operation, keyed=keyed and needs_key(path))
    # FastAPI's own form of a 422, which no operation answers with now.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    if keyed:
        scheme = {"type": "http", "scheme": "bearer", "description": "One of the service's API keys."}
        document["components"]["securitySchemes"] = {_SCHEME: scheme}


def _schemas() -> tuple[dict[str, Any], dict[str, Any]]:
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return problem.pop("$defs")["InvalidField"], problem


def _describe(path: str, operation: dict[str, Any], *, keyed: bool) -> None:
    as_openai = path.startswith(errors.PREFIX)
    expected: list[type[ProblemError]] = [MalformedRequest, HeadersTooLarge]
    if keyed:
        operation["security"] = [{_SCHEME: []}]
        expected.append(Unauthorized)
    if "requestBody" in operation:
        expected += [*_OF_A_BODY, *_OF_AN_ENGINE]
    elif path == _ASKS_THE_ENGINE:
        expected += _OF_AN_ENGINE
    elif as_openai:
        expected += [NotReady, Draining]  # a list of models needs one
    responses = operation["responses"]
    form = _FAILURE if as_openai else _PROBLEM
    if as_openai:
        responses.pop("422", None)
    else:
        for response in responses.values():
            # A problem is not plain JSON, which FastAPI can't be told.
            content = response.get("content", {})
            if MEDIA_TYPE in content:
                content[MEDIA_TYPE] = content.pop("application/json")
    by_status: dict[str, list[type[ProblemError]]] = {}
    for each in expected:
        status = errors.status(each) if as_openai else each.status
        by_status.setdefault(str(status), []).append(each)
    described = {status: _response(errors, form) for status, errors in by_status.items()}
    operation["responses"] = dict(sorted({**responses, **described}.items()))


def _response(errors: list[type[ProblemError]], form: dict[str, Any]) -> dict[str, Any]:
    """One response for all problems of a status."""
    found: dict[str, Any] = {"description": "; ".join(each.title for each in errors) + ".", "content": form}
    for error in errors:
        if headers := _HEADERS.get(error):
            found["headers"] = headers
    return found
