"""Log one line for each request, without any text from the client."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from mcq_service.api.http.authentication import needs_key

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("mcq_service.access")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT_LEFT, _FAILED = 499, 500


class AccessLog:
    """Middleware: logs method, route, status, milliseconds and the key's name at the end of each request.

    Probes, scrapes and the page's files are logged at DEBUG, because they come every few seconds.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        started = time.perf_counter()
        status: int | None = None

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        except Exception:
            status = _FAILED
            raise
        finally:
            fields = {
                "method": known_method(scope),
                "route": getattr(scope.get("route"), "path", None),
                "status": status or _CLIENT_LEFT,
                "duration_ms": round((time.perf_counter() - started) * 1000, 3),
                "key": state.get("key_name"),
            }
            level = logging.INFO if needs_key(scope["path"]) else logging.DEBUG
            _log.log(level, "request", extra={"fields": fields})


def known_method(scope: Scope) -> str:
    """Return the request's method, or `_OTHER`: a client may send any text as a method."""
    method: str = scope["method"]
    return method if method in _METHODS else "_OTHER"
