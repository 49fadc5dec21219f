"""What is checked of a request's head: the headers' number and length, and that they give the body one length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcq_service.api.http.errors import counted
from mcq_service.api.problems import HeadersTooLarge, MalformedRequest

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mcq_service.api.problems import ProblemError

MAX_COUNT = 100
MAX_BYTES = 16 * 1024
"""Of the address, all names and all values; the server itself cuts off a head of twice as much."""


_CLOSE = {"Connection": "close"}


class HeaderLimits:
    """Middleware: answers a request whose head is not in order with a problem."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        error = _fault(scope) if scope["type"] == "http" else None
        if error is None:
            await self._app(scope, receive, send)
        else:
            await counted(scope, error)(scope, receive, send)


def _fault(scope: Scope) -> ProblemError | None:
    headers = scope["headers"]
    size = len(scope["path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in headers)
    if len(headers) > MAX_COUNT or size > MAX_BYTES:
        detail = f"Send at most {MAX_COUNT} headers, of {MAX_BYTES} bytes together with the address."
        return HeadersTooLarge(detail, headers=_CLOSE)
    names = {name for name, _ in headers}
    if b"transfer-encoding" in names and (b"content-length" in names or scope["http_version"] == "1.0"):
        # RFC 9112, 6.1: a proxy that goes by the other one takes the rest of the body for a request.
        detail = "Send Content-Length or Transfer-Encoding, not both, and the latter in HTTP/1.1 only."
        return MalformedRequest(detail, headers=_CLOSE)
    return None
