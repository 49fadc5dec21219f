"""What is checked of a request's head: how many headers it has, and how long they and the address are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcq_service.problems import HeadersTooLarge
from mcq_service.routes.problems import counted

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MAX_COUNT = 100
MAX_BYTES = 16 * 1024
"""Of the address, all names and all values; the server itself cuts off a head of twice as much."""


class HeaderLimits:
    """Middleware: answers a request with too many or too long headers with a problem."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] == "http":
            headers = scope["headers"]
            size = len(scope["path"]) + len(scope["query_string"])
            size += sum(len(name) + len(value) for name, value in headers)
            if len(headers) > MAX_COUNT or size > MAX_BYTES:
                detail = f"Send at most {MAX_COUNT} headers, of {MAX_BYTES} bytes together with the address."
                error = HeadersTooLarge(detail, headers={"Connection": "close"})
                await counted(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)
