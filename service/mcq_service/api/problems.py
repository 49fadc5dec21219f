"""The errors that end a request; each becomes one RFC 9457 problem response.

ProblemError
├── MalformedRequest      400  the request can be read in two ways
├── MalformedBody         400  the body is not JSON, has too many values, or is nested too deeply
├── Unauthorized          401  the key is missing or unknown
├── CrossOrigin           403  a browser's preflight for a page of an origin that is not allowed
├── NoSuchPath            404
│   └── NoSuchModel       404  the OpenAI-compatible surface: another model was asked for
├── NoSuchMethod          405
├── BodyTooSlow           408  the body did not arrive in time
├── BodyTooLarge          413
├── RequestTooLarge       413  the request asks for more than one request may
├── UnsupportedMediaType  415  the body is not declared as JSON, or is compressed
├── InvalidQuestion       422  the body is JSON, but not a question that can be answered
│   └── ContextExceeded   422  the OpenAI-compatible surface: prompt and answer are too long
├── Overloaded            429  too many requests are waiting
├── HeadersTooLarge       431
├── ClientLeft            499  the client closed the connection; only metrics and traces see this one
├── InternalError         500
├── NoTokens              501  the OpenAI-compatible surface: the engine is another server
├── BadEngine             502  the remote engine failed
├── NotReady              503  the model is not loaded yet
├── Draining              503  this replica is shutting down
├── OutOfMemory           503  there is no memory for the request at the moment
└── DeadlineExceeded      504
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_log = logging.getLogger(__name__)
BASE_URI = "https://mcq-operator.dev/problems"
MEDIA_TYPE = "application/problem+json"


class InvalidField(BaseModel):
    """An error in one part of the request body."""

    pointer: str = Field(description="RFC 6901 JSON pointer into the body.")
    detail: str


class Problem(BaseModel):
    """Why a request was not answered. `type` is stable; `detail` is for a person."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[InvalidField] | None = None


class ProblemError(Exception):
    """Why a request can't be answered; `headers` go with the response."""

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[InvalidField] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Tell the client in `detail` what it can do."""
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})

    def problem(self) -> Problem:
        """Return the response's body."""
        return Problem(
            type=f"{BASE_URI}/{self.slug}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            errors=list(self.errors) if self.errors else None,
        )


class MalformedRequest(ProblemError):  # noqa: N818 - names say what happened, as in the tree above
    """A proxy and this server could read the request differently."""

    status, slug, title = 400, "malformed-request", "The request is ambiguous"


class MalformedBody(ProblemError):  # noqa: N818
    """The body is not JSON, or exceeds the parser's limits."""

    status, slug, title = 400, "malformed-body", "The body can't be read"


class Unauthorized(ProblemError):  # noqa: N818
    """The request's key is missing or unknown."""

    status, slug, title = 401, "unauthorized", "A key is needed"


class CrossOrigin(ProblemError):  # noqa: N818
    """A page of another origin may not use this service."""

    status, slug, title = 403, "cross-origin", "Pages of this origin may not use the service"


class NoSuchPath(ProblemError):  # noqa: N818
    """This path does not exist."""

    status, slug, title = 404, "not-found", "There is nothing at this path"


class NoSuchModel(NoSuchPath):
    """This replica serves another model."""

    slug, title = "model-not-found", "There is no such model here"


class NoSuchMethod(ProblemError):  # noqa: N818
    """The path exists, but not for this method."""

    status, slug, title = 405, "method-not-allowed", "This path has no such method"


class BodyTooSlow(ProblemError):  # noqa: N818
    """The body did not arrive in time."""

    status, slug, title = 408, "body-too-slow", "The body took too long"


class BodyTooLarge(ProblemError):  # noqa: N818
    """The body exceeds the limit."""

    status, slug, title = 413, "body-too-large", "The body is too large"


class RequestTooLarge(ProblemError):  # noqa: N818
    """The request asks for more than one request may."""

    status, slug, title = 413, "request-too-large", "The request asks for too much at once"


class UnsupportedMediaType(ProblemError):  # noqa: N818
    """The body is not declared as JSON, or is compressed."""

    status, slug, title = 415, "unsupported-media-type", "The body must be JSON, uncompressed"


class InvalidQuestion(ProblemError):  # noqa: N818
    """The question can't be answered as it stands."""

    status, slug, title = 422, "invalid-question", "The question can't be answered as it stands"


class ContextExceeded(InvalidQuestion):
    """A prompt and its continuation exceed the context."""

    slug, title = "context-length-exceeded", "The prompt is too long"


class Overloaded(ProblemError):  # noqa: N818
    """The queue is full."""

    status, slug, title = 429, "overloaded", "Too many requests are waiting"


class HeadersTooLarge(ProblemError):  # noqa: N818
    """There are too many headers, or they are too long."""

    status, slug, title = 431, "headers-too-large", "The headers are too large"


class ClientLeft(ProblemError):  # noqa: N818
    """The client closed the connection before its answer; only metrics and traces see this."""

    status, slug, title = 499, "client-left", "The client left"


class InternalError(ProblemError):
    """A defect of the service."""

    status, slug, title = 500, "internal-error", "The service failed"


class NoTokens(ProblemError):  # noqa: N818
    """The engine is another server, which has this surface itself."""

    status, slug, title = 501, "no-tokens", "The engine is another server"


class BadEngine(ProblemError):  # noqa: N818
    """The engine is another server, and it failed or sent an unreadable response."""

    status, slug, title = 502, "bad-engine", "The engine failed"


class NotReady(ProblemError):  # noqa: N818
    """The model is not loaded yet."""

    status, slug, title = 503, "not-ready", "The model is not ready"


class Draining(ProblemError):  # noqa: N818
    """This replica is shutting down."""

    status, slug, title = 503, "draining", "This replica is shutting down"


class OutOfMemory(ProblemError):  # noqa: N818
    """There is no memory for the request at the moment."""

    status, slug, title = 503, "out-of-memory", "There is no memory for the request at the moment"


class DeadlineExceeded(ProblemError):  # noqa: N818
    """The answer took too long."""

    status, slug, title = 504, "deadline-exceeded", "The answer took too long"


def as_problem(error: Exception) -> ProblemError:
    """Return the problem for any error; log an unexpected one as a defect of the service."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, MemoryError):
        _log.warning("out of memory: %s", error)
        return OutOfMemory("Try again later, or ask for less at once.", headers={"Retry-After": "5"})
    _log.error("a request failed", exc_info=error)
    return InternalError("This is a defect of the service; its log says more.")
