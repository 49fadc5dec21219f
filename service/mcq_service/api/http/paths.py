"""Which of its paths a request means: with or without the root path in front, and a slash at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse
from starlette.routing import Match

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """Middleware: serves `/root/path` as `/path`; `/path` stays what it is.

    An Ingress passes its path prefix on, while probes and clients inside the cluster use none, so both are served.
    `/root` itself is redirected to `/root/`, because the page's links are relative.
    """

    def __init__(self, app: ASGIApp, *, root: str, routes: Sequence[BaseRoute]) -> None:
        """Wrap the app. `routes` are its own: a path that is one of them is never taken for a prefixed one."""
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
    """Middleware: serves `/path/` as `/path`, whatever checks paths further in.

    A redirect would have to know the scheme and the host that the client used. Pages are an exception: links in them
    are relative, so `/docs/` is redirected to `../docs`, which needs neither.
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
    """A redirect relative to the last segment, so that it holds behind a proxy that adds a prefix of its own."""
    return RedirectResponse(f"{path.rpartition('/')[2]}/", status_code=308)
