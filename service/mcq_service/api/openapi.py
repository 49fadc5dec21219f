"""Complete FastAPI's OpenAPI document: problems that middleware sends, and the API key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcq_service.api.http.authentication import needs_key
from mcq_service.api.openai import errors as openai_errors
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

_BODY_PROBLEMS = (MalformedBody, BodyTooSlow, BodyTooLarge, UnsupportedMediaType, InvalidQuestion)
_ENGINE_PROBLEMS = (Overloaded, NotReady, Draining, DeadlineExceeded, BadEngine)
_SELFTEST_PATH = "/answerz"
_HEADERS = {
    Unauthorized: {"WWW-Authenticate": {"description": "Bearer.", "schema": {"type": "string"}}},
    Overloaded: {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}},
}
_SCHEME = "key"
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_OPENAI_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}}


def complete(app: FastAPI, *, keyed: bool) -> None:
    """Complete the app's document, once it has all routes; `keyed` says whether clients need a key."""
    document = app.openapi()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["InvalidField"], schemas["Problem"] = _schemas()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete_operation(path, operation, keyed=keyed and needs_key(path))
    # FastAPI's own schemas for a 422, which no operation uses.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    if keyed:
        scheme = {"type": "http", "scheme": "bearer", "description": "One of the service's API keys."}
        document["components"]["securitySchemes"] = {_SCHEME: scheme}


def _schemas() -> tuple[dict[str, Any], dict[str, Any]]:
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return problem.pop("$defs")["InvalidField"], problem


def _complete_operation(path: str, operation: dict[str, Any], *, keyed: bool) -> None:
    as_openai = path.startswith(openai_errors.PREFIX)
    problems: list[type[ProblemError]] = [MalformedRequest, HeadersTooLarge]
    if keyed:
        operation["security"] = [{_SCHEME: []}]
        problems.append(Unauthorized)
    if "requestBody" in operation:
        problems += [*_BODY_PROBLEMS, *_ENGINE_PROBLEMS]
    elif path == _SELFTEST_PATH:
        problems += _ENGINE_PROBLEMS
    elif as_openai:
        problems += [NotReady, Draining]  # listing the models needs a loaded one
    responses = operation["responses"]
    form = _OPENAI_ERROR if as_openai else _PROBLEM
    if as_openai:
        responses.pop("422", None)
    else:
        for response in responses.values():
            # A problem has its own media type; FastAPI always writes application/json.
            content = response.get("content", {})
            if MEDIA_TYPE in content:
                content[MEDIA_TYPE] = content.pop("application/json")
    by_status: dict[str, list[type[ProblemError]]] = {}
    for each in problems:
        status = openai_errors.status_of(each) if as_openai else each.status
        by_status.setdefault(str(status), []).append(each)
    described = {status: _response(errors, form) for status, errors in by_status.items()}
    operation["responses"] = dict(sorted({**responses, **described}.items()))


def _response(errors: list[type[ProblemError]], form: dict[str, Any]) -> dict[str, Any]:
    """Describe all problems of one status as one response."""
    described: dict[str, Any] = {
        "description": "; ".join(each.title for each in errors) + ".",
        "content": form,
    }
    for error in errors:
        if headers := _HEADERS.get(error):
            described["headers"] = headers
    return described
