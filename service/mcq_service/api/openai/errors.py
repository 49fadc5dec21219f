"""Problems in OpenAI's form, for the paths of OpenAI's clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.responses import JSONResponse

from mcq_service.api.openai.schemas import ErrorBody, ErrorResponse

if TYPE_CHECKING:
    from mcq_service.api.problems import ProblemError

PREFIX = "/v1/"
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}
_CODES = {
    "unauthorized": "invalid_api_key",
    "overloaded": "rate_limit_exceeded",
    "invalid-question": "invalid_value",
}


def status_of(error: ProblemError | type[ProblemError]) -> int:
    """Return the problem's status; 400 for an error in the body, as OpenAI does."""
    return 400 if error.status == 422 else error.status


def error_response(error: ProblemError) -> ErrorResponse:
    """Convert a problem to OpenAI's form: `code` is OpenAI's own code for it, or else its slug."""
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    pointer = error.errors[0].pointer if error.errors else ""
    return ErrorResponse(
        error=ErrorBody(
            message=error.detail,
            type=_TYPES.get(error.status, kind),
            param=".".join(pointer.split("/")[1:]) or None,
            code=_CODES.get(error.slug, error.slug.replace("-", "_")),
        )
    )


def json_response(error: ProblemError) -> JSONResponse:
    """Return the problem as a response, with its own headers."""
    return JSONResponse(
        error_response(error).model_dump(), status_code=status_of(error), headers=error.headers
    )
