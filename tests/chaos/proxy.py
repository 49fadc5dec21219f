"""A reverse proxy before the API server that passes each request, response and watch event to a fault.

The operator connects with plain HTTP. Upstream, the proxy is the administrator impersonating the operator's service
account, so that the operator has exactly the rights of config/rbac.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from aiohttp import web
from tests.chaos.calls import Call, Point, Trace

OPERATOR = "system:serviceaccount:mcq-operator-system:mcq-operator"
FORWARDED_HEADERS = ("Content-Type", "Accept", "User-Agent")


@dataclass(frozen=True)
class Answer:
    """A complete response."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


class Cut(Exception):  # noqa: N818 - a control flow signal, no error
    """Close the connection without a response."""


Send = Callable[[], Awaitable[Answer]]


class Fault(Protocol):
    """A change to the traffic of one operator."""

    async def watch(self, point: Point, call: Call) -> Answer | None:
        """Return the response to a watch; None forwards it. May raise Cut."""

    async def request(self, point: Point, call: Call, path: str, send: Send) -> Answer:
        """Return the response to any other request; `send` forwards it. May raise Cut."""

    async def after_response(self, point: Point, call: Call) -> None:
        """React after the operator was sent a response."""

    async def event(self, point: Point, line: bytes) -> list[bytes]:
        """Return the lines to send in place of a watch event. May raise Cut."""


@dataclass(frozen=True)
class Upstream:
    """The API server, with the administrator's credentials."""

    url: str
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: object = None, *, content: str = "json") -> Any:
        """Send a request as administrator; return the JSON. Raises aiohttp.ClientError."""
        headers = {"Content-Type": f"application/{content}"}
        data = None if body is None else json.dumps(body)
        async with self.session.request(method, self.url + path, data=data, headers=headers) as response:
            response.raise_for_status()
            return await response.json()


class Proxy:
    """One operator's connection to the API server."""

    def __init__(self, upstream: Upstream, trace: Trace, fault: Fault) -> None:
        """Create the proxy; `serving` starts it."""
        self.trace = trace
        self.watching: set[str] = set()
        self.last_write = 0.0
        self._upstream = upstream
        self._fault = fault
        self._transports: set[asyncio.Transport] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Listen during the block; yield the URL."""
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # Drop the requests of a killed operator.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            self.cut()
            await runner.cleanup()

    def cut(self) -> None:
        """Close every connection at once."""
        for transport in self._transports:
            transport.abort()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = Call.parse(request.method, request.path, request.query_string)
        point = self.trace.call(call)
        transport = request.transport
        assert isinstance(transport, asyncio.Transport), "the request was read from it"
        self._transports.add(transport)
        try:
            if call.verb == "watch":
                return await self._watch(request, call, point)
            return await self._answer(request, call, point)
        except (Cut, ConnectionError, aiohttp.ClientConnectionError):
            transport.abort()
            return web.Response()
        finally:
            self._transports.discard(transport)

    async def _answer(self, request: web.Request, call: Call, point: Point) -> web.StreamResponse:
        body = await request.read()

        async def send() -> Answer:
            # The API server completes a forwarded request even if the operator is killed meanwhile.
            return await asyncio.shield(asyncio.create_task(self._send(request, call, body)))

        answer = await self._fault.request(point, call, request.path_qs, send)
        response = web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
        await response.prepare(request)
        await response.write_eof()
        await self._fault.after_response(point, call)
        return response

    async def _send(self, request: web.Request, call: Call, body: bytes) -> Answer:
        if call.writes:
            self.last_write = time.monotonic()
        async with self._open(request, body) as response:
            content = response.headers.get("Content-Type", "application/json")
            return Answer(response.status, await response.read(), (("Content-Type", content),))

    async def _watch(self, request: web.Request, call: Call, point: Point) -> web.StreamResponse:
        answer = await self._fault.watch(point, call)
        if answer is not None:
            return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
        async with self._open(request, b"") as upstream:
            response = web.StreamResponse(status=upstream.status)
            response.content_type = "application/json"
            await response.prepare(request)
            self.watching.add(call.resource)
            try:
                async for line in _lines(upstream):
                    for each in await self._event(call, line):
                        await response.write(each)
            finally:
                self.watching.discard(call.resource)
            return response

    async def _event(self, call: Call, line: bytes) -> list[bytes]:
        kind = json.loads(line).get("type", "")
        if kind not in {"ADDED", "MODIFIED", "DELETED"}:
            return [line]
        return await self._fault.event(self.trace.event(call.resource, kind), line)

    def _open(self, request: web.Request, body: bytes) -> contextlib.AbstractAsyncContextManager[Any]:
        headers = {name: request.headers[name] for name in FORWARDED_HEADERS if name in request.headers}
        return self._upstream.session.request(
            request.method,
            self._upstream.url + request.path_qs,
            data=body or None,
            headers={**headers, "Impersonate-User": OPERATOR},
            timeout=aiohttp.ClientTimeout(total=None),
        )


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield a stream's lines, of any length."""
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest
