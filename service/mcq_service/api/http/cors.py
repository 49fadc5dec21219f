"""What browsers ask before a page of another origin may use the service: CORS preflights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware

from mcq_service.api.http.errors import response
from mcq_service.api.problems import CrossOrigin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

ANY = "*"
_METHODS = ("GET", "HEAD", "POST")
_HEADERS = ("Authorization", "Content-Type", "Traceparent", "Tracestate")


class Origins:
    """Middleware: lets pages of these origins use the service, and refuses preflights of others with a problem.

    It is outside of the check of keys, as a preflight has none.
    """

    def __init__(self, app: ASGIApp, *, allowed: Sequence[str]) -> None:
        """Wrap the app; none allowed: only the service's own page may."""
        self._allowed = frozenset(allowed)
        self._app: ASGIApp = app
        if allowed:
            self._app = CORSMiddleware(
                app,
                allow_origins=allowed,
                allow_methods=_METHODS,
                allow_headers=_HEADERS,
                expose_headers=("Retry-After",),
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if self._refuses(scope):
            detail = "Whoever runs the service allows a page's origin with MCQ_ALLOWED_ORIGINS."
            await response(scope, CrossOrigin(detail))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refuses(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] != "OPTIONS":
            return False
        headers = Headers(scope=scope)
        is_preflight = "access-control-request-method" in headers
        return is_preflight and not self._allowed & {ANY, headers.get("origin")}
