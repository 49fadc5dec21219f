"""CORS: let pages of configured origins use the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware

from mcq_service.api.http.errors import problem_response
from mcq_service.api.problems import CrossOrigin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

ANY = "*"
_METHODS = ("GET", "HEAD", "POST")


class CORS:
    """Middleware: lets pages of the allowed origins use the service, and answers other preflights with a problem.

    It wraps the check of keys, because a preflight has no key.
    """

    def __init__(self, app: ASGIApp, *, allowed: Sequence[str]) -> None:
        """Wrap the app. With no allowed origin, only the service's own page may use it."""
        self._allowed = frozenset(allowed)
        self._app: ASGIApp = app
        if allowed:
            self._app = CORSMiddleware(
                app,
                allow_origins=allowed,
                allow_methods=_METHODS,
                # Clients such as openai-js add headers of their own. Keys are a page's own headers, never cookies.
                allow_headers=(ANY,),
                expose_headers=("Retry-After",),
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if self._refuses(scope):
            detail = "The operator of this service can allow the page's origin with MCQ_ALLOWED_ORIGINS."
            await problem_response(scope, CrossOrigin(detail))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refuses(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] != "OPTIONS":
            return False
        headers = Headers(scope=scope)
        is_preflight = "access-control-request-method" in headers
        return is_preflight and not self._allowed & {ANY, headers.get("origin")}
