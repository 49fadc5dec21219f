"""What is checked of a body before it is parsed: that it is declared as JSON, and not too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from mcq_service.problems import BodyTooLarge, ProblemError, UnsupportedMediaType
from mcq_service.routes.problems import counted

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 64 * 1024


class BodyLimits:
    """Middleware: reads a POST's body, at most MAX_BYTES, and hands it on, or answers with a problem."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await _read(Headers(scope=scope), receive)
        except ProblemError as error:
            await counted(scope, error)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)


async def _read(headers: Headers, receive: Receive) -> bytes:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType("Send the header Content-Type: application/json.")
    too_large = BodyTooLarge(f"The body may have at most {MAX_BYTES} bytes.", headers={"Connection": "close"})
    if int(headers.get("content-length", "0")) > MAX_BYTES:
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BYTES:
            raise too_large
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """First the body that was read, then whatever comes: the client's leaving."""
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
