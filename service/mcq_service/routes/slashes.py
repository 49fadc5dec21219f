"""A slash at the end of a path changes nothing: a redirect would have to know the address that the client used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class TrailingSlash:
    """Middleware: serves `/path/` as `/path`, whatever checks paths further in."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] == "http" and scope["path"].endswith("/") and scope["path"].strip("/"):
            scope["path"] = scope["path"].removesuffix("/")
        await self._app(scope, receive, send)
