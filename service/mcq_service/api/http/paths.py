"""Normalise a request's path: remove the root path and a trailing slash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse
from starlette.routing import Match

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """Middleware: serves `/root/path` as `/path`, besides `/path` itself.

    An Ingress passes its path prefix on; probes and clients inside the cluster use none. `/root` itself redirects to
    `/root/`, because the page's links are relative.
    """

    def __init__(self, app: ASGIApp, *, root: str, routes: Sequence[BaseRoute]) -> None:
        """Wrap the app. A path that matches one of its `routes` never counts as prefixed."""
        self._app, self._root, self._routes = app, root, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] == "http" and self._is_prefixed(scope):
            rest = scope["path"].removeprefix(self._root)
            if not rest:
                await _add_slash(self._root)(scope, receive, send)
                return
            scope["path"] = rest
        await self._app(scope, receive, send)

    def _is_prefixed(self, scope: Scope) -> bool:
        if not f"{scope['path']}/".startswith(f"{self._root}/"):
            return False
        return all(route.matches(scope)[0] is Match.NONE for route in self._routes)


class TrailingSlash:
    """Middleware: serves `/path/` as `/path`, before any inner check of the path.

    A redirect would need the scheme and host that the client used. Pages are an exception, because their links are
    relative: `/docs/` redirects to `../docs`, which needs neither.
    """

    def __init__(self, app: ASGIApp, *, pages: Sequence[str]) -> None:
        """Wrap the app."""
        self._app, self._pages = app, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] == "http" and scope["path"].endswith("/") and scope["path"].strip("/"):
            scope["path"] = scope["path"].removesuffix("/")
            if scope["path"] in self._pages:
                await RedirectResponse(f"..{scope['path']}", status_code=308)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _add_slash(path: str) -> RedirectResponse:
    """Redirect relative to the last segment, which also works behind a proxy that adds a prefix."""
    return RedirectResponse(f"{path.rpartition('/')[2]}/", status_code=308)
