"""Check a body before it is parsed: declared as JSON, not too large, and not too slow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from mcq_service.api.problems import (
    BodyTooLarge,
    BodyTooSlow,
    ClientLeft,
    Overloaded,
    UnsupportedMediaType,
)

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 4 * 1024 * 1024
"""Size of one body. A character takes up to 12 bytes, as two escapes: the longest question takes 1.5 MB."""
READ_SECONDS = 20.0
MAX_BYTES_IN_MEMORY = 64 * 1024 * 1024
"""Size of all bodies in memory at once."""

_PLAIN = "identity"
_CLOSE = {"Connection": "close"}  # the rest of the body is still on the connection and is not read


class BodyLimits:
    """Middleware: reads a POST's body when the app asks for it, and raises a ProblemError there if it is invalid.

    It does not check earlier, so that an unknown path or a wrong method is reported first.
    """

    def __init__(
        self, app: ASGIApp, *, seconds: float = READ_SECONDS, memory_bytes: int = MAX_BYTES_IN_MEMORY
    ) -> None:
        """Wrap the app; a whole body must arrive within `seconds`."""
        self._app, self.seconds, self._free = app, seconds, memory_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        body = _Body(self, scope, receive)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._free += body.size

    def reserve(self, size: int) -> None:
        """Reserve memory for a part of a body. Raises Overloaded."""
        if size > self._free:
            raise Overloaded("Too many large bodies are being read.", headers={"Retry-After": "1", **_CLOSE})
        self._free -= size


class _Body:
    """One request's body; `size` bytes of it are in memory."""

    def __init__(self, limits: BodyLimits, scope: Scope, receive: Receive) -> None:
        self._limits, self._receive = limits, receive
        self._headers = Headers(scope=scope)
        self._read = False
        self.size = 0

    async def receive(self) -> Message:
        """Return the whole body at the first call; later calls return the client's disconnect."""
        if self._read:
            return await self._receive()
        self._read = True
        media_type = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaType("Send the header Content-Type: application/json.")
        if (coding := self._headers.get("content-encoding", _PLAIN).strip().lower()) != _PLAIN:
            detail = f"Send the body uncompressed, without Content-Encoding: {coding[:40]}."
            raise UnsupportedMediaType(detail, headers={"Accept-Encoding": _PLAIN, **_CLOSE})
        if int(self._headers.get("content-length", "0")) > MAX_BYTES:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._limits.seconds):
                body = await self._collect()
        except TimeoutError:
            detail = f"The whole body must arrive within {self._limits.seconds:g} s."
            raise BodyTooSlow(detail, headers=_CLOSE) from None
        return {"type": "http.request", "body": body, "more_body": False}

    async def _collect(self) -> bytes:
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft("The client left before its question had arrived.")
            part = message.get("body", b"")
            if len(body) + len(part) > MAX_BYTES:
                raise self._too_large()
            self._limits.reserve(len(part))
            self.size += len(part)
            body += part
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"The body may have at most {MAX_BYTES} bytes.", headers=_CLOSE)
