"""Check a request's head: the number and size of its headers, and that the body's length is unambiguous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcq_service.api.http.errors import counted_response
from mcq_service.api.problems import HeadersTooLarge, MalformedRequest

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mcq_service.api.problems import ProblemError

MAX_COUNT = 100
MAX_BYTES = 16 * 1024
"""Size of the address, all names and all values. The server itself refuses a head of twice this size."""


_CLOSE = {"Connection": "close"}


class HeaderLimits:
    """Middleware: answers a request with an invalid head with a problem."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        error = _error(scope) if scope["type"] == "http" else None
        if error is None:
            await self._app(scope, receive, send)
        else:
            await counted_response(scope, error)(scope, receive, send)


def _error(scope: Scope) -> ProblemError | None:
    headers = scope["headers"]
    size = len(scope["path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in headers)
    if len(headers) > MAX_COUNT or size > MAX_BYTES:
        detail = f"Send at most {MAX_COUNT} headers, with at most {MAX_BYTES} bytes including the address."
        return HeadersTooLarge(detail, headers=_CLOSE)
    names = {name for name, _ in headers}
    if b"transfer-encoding" in names and (b"content-length" in names or scope["http_version"] == "1.0"):
        # RFC 9112, 6.1: a proxy that uses the other length takes the rest of the body for a request.
        detail = "Send either Content-Length or Transfer-Encoding, and the latter only in HTTP/1.1."
        return MalformedRequest(detail, headers=_CLOSE)
    return None
