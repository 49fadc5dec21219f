"""The errors that end a request: a table of problem types. Each becomes one RFC 9457 problem response."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

    def __init_subclass__(cls, *, slug: str, title: str, status: int | None = None) -> None:
        """Set the type's slug and title, and its status unless it is the base class's."""
        super().__init_subclass__()
        cls.slug, cls.title = slug, title
        if status is not None:
            cls.status = status

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


class MalformedRequest(ProblemError, status=400, slug="malformed-request", title="The request is ambiguous"):
    """A proxy and this server could read the request differently."""


class MalformedBody(ProblemError, status=400, slug="malformed-body", title="The body can't be read"):
    """The body is not JSON, or exceeds the parser's limits."""


class Unauthorized(ProblemError, status=401, slug="unauthorized", title="A key is needed"):
    """The request's key is missing or unknown."""


class CrossOrigin(
    ProblemError, status=403, slug="cross-origin", title="Pages of this origin may not use the service"
):
    """A page of another origin may not use this service."""


class NoSuchPath(ProblemError, status=404, slug="not-found", title="There is nothing at this path"):
    """This path does not exist."""


class NoSuchModel(NoSuchPath, slug="model-not-found", title="There is no such model here"):
    """This replica serves another model."""


class NoSuchMethod(ProblemError, status=405, slug="method-not-allowed", title="This path has no such method"):
    """The path exists, but not for this method."""


class BodyTooSlow(ProblemError, status=408, slug="body-too-slow", title="The body took too long"):
    """The body did not arrive in time."""


class BodyTooLarge(ProblemError, status=413, slug="body-too-large", title="The body is too large"):
    """The body exceeds the limit."""


class RequestTooLarge(
    ProblemError, status=413, slug="request-too-large", title="The request asks for too much at once"
):
    """The request asks for more than one request may."""


class UnsupportedMediaType(
    ProblemError, status=415, slug="unsupported-media-type", title="The body must be JSON, uncompressed"
):
    """The body is not declared as JSON, or is compressed."""


class InvalidQuestion(
    ProblemError, status=422, slug="invalid-question", title="The question can't be answered as it stands"
):
    """The question can't be answered as it stands."""


class ContextExceeded(InvalidQuestion, slug="context-length-exceeded", title="The prompt is too long"):
    """A prompt and its continuation exceed the context."""


class Overloaded(ProblemError, status=429, slug="overloaded", title="Too many requests are waiting"):
    """The queue is full."""


class HeadersTooLarge(ProblemError, status=431, slug="headers-too-large", title="The headers are too large"):
    """There are too many headers, or they are too long."""


class ClientLeft(ProblemError, status=499, slug="client-left", title="The client left"):
    """The client closed the connection before its answer; only metrics and traces see this."""


class InternalError(ProblemError, status=500, slug="internal-error", title="The service failed"):
    """A defect of the service."""


class NoTokens(ProblemError, status=501, slug="no-tokens", title="The engine is another server"):
    """The engine is another server, which has this surface itself."""


class BadEngine(ProblemError, status=502, slug="bad-engine", title="The engine failed"):
    """The engine is another server, and it failed or sent an unreadable response."""


class NotReady(ProblemError, status=503, slug="not-ready", title="The model is not ready"):
    """The model is not loaded yet."""


class Draining(ProblemError, status=503, slug="draining", title="This replica is shutting down"):
    """This replica is shutting down."""


class OutOfMemory(
    ProblemError, status=503, slug="out-of-memory", title="There is no memory for the request at the moment"
):
    """There is no memory for the request at the moment."""


class DeadlineExceeded(ProblemError, status=504, slug="deadline-exceeded", title="The answer took too long"):
    """The answer took too long."""
