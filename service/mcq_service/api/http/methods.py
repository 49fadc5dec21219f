"""Support HEAD wherever there is GET, and OPTIONS on every path, as HTTP requires."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAndOptions:
    """Middleware: answers HEAD with the head of GET, and OPTIONS with the path's methods."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._head(scope, receive, send)
        else:
            options = scope["method"] == "OPTIONS"
            await self._app(scope, receive, _with_methods(send, options=options))

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, _without_body(send))
        finally:
            if "route" in as_get:
                scope["route"] = as_get["route"]  # for the log


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            _complete_allow(message)
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


def _with_methods(send: Send, *, options: bool) -> Send:
    """Add HEAD and OPTIONS to the Allow header; for OPTIONS, turn a 405 into the answer."""
    answered = False

    async def send_methods(message: Message) -> None:
        nonlocal answered
        if message["type"] == "http.response.start" and _complete_allow(message) and options:
            answered = True
            allow = MutableHeaders(scope=message)["allow"].encode()
            message = {"type": message["type"], "status": 204, "headers": [(b"allow", allow)]}
        elif answered:
            message = {**message, "body": b""}
        await send(message)

    return send_methods


def _complete_allow(message: Message) -> bool:
    """Add this middleware's methods to the Allow header of a 405; return whether it is a 405."""
    headers = MutableHeaders(scope=message)
    if message["status"] != 405 or "allow" not in headers:
        return False
    methods = {each.strip() for each in headers["allow"].split(",")} | {"OPTIONS"}
    headers["allow"] = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    return True
