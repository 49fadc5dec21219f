"""Problems in OpenAI's form, for the paths that OpenAI's clients use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse

from mcq_service.api.openai.schemas import Failure, FailureBody

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_service.api.problems import ProblemError

PREFIX = "/v1/"
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}
_CODES = {
    "unauthorized": "invalid_api_key",
    "overloaded": "rate_limit_exceeded",
    "invalid-question": "invalid_value",
}
# How pydantic names the form that a text took, which is no part of the body.
_FORMS = {"string", "strings", "tokens", "array", "arrays"}


def status(error: ProblemError | type[ProblemError]) -> int:
    """The problem's status, but 400 for what is wrong in a body, as OpenAI has it."""
    return 400 if error.status == 422 else error.status


def failure(error: ProblemError) -> Failure:
    """What OpenAI's clients read of a problem: `code` is its slug, or OpenAI's own word for it."""
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    pointer = error.errors[0].pointer if error.errors else ""
    return Failure(
        error=FailureBody(
            message=error.detail,
            type=_TYPES.get(error.status, kind),
            param=".".join(pointer.split("/")[1:]) or None,
            code=_CODES.get(error.slug, error.slug.replace("-", "_")),
        )
    )


def steps(location: Sequence[Any]) -> list[Any]:
    """The steps of pydantic's location that are those of the body."""
    return [step for step in location if step not in _FORMS]


def response(error: ProblemError) -> JSONResponse:
    """The problem as a response, with its own headers."""
    return JSONResponse(failure(error).model_dump(), status_code=status(error), headers=error.headers)
