"""A probe reads only a bounded part of a replica's answer."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from tests.operator.support import serving

from mcq_operator.api import SolverKey
from mcq_operator.api.observed import CanaryVerdict
from mcq_operator.probes import probe_client
from mcq_operator.probes.canary import ask_canary
from mcq_operator.probes.probe_client import ProbeError, Reply, open_session

KEY = SolverKey("team", "demo")
HEAD = b"HTTP/1.1 200 OK\r\n"
ENDLESS = 2**30
FITS_IN_BUFFERS = 16 * 2**20
"""Bytes: more than the socket buffers of both sides hold, and far less than an endless answer has."""


async def get(url: str, *, seconds: float = 10) -> Reply:
    async with open_session() as session:
        return await probe_client.get(session, f"{url}/x", seconds=seconds)


async def ask(url: str) -> CanaryVerdict:
    async with open_session() as session:
        return await ask_canary(session, url, KEY)


@asynccontextmanager
async def answering(write: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """Run a server that answers each request with `write`, even if the answer is no HTTP; yield its URL."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await write(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


@pytest.mark.parametrize("status", [200, 503])
async def test_only_the_beginning_of_an_endless_body_is_read(status: int) -> None:
    sent = 0
    closed = asyncio.Event()

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {ENDLESS}\r\n\r\n".encode())
        try:
            while sent < ENDLESS:
                writer.write(b"a" * 2**16)
                sent += 2**16
                await writer.drain()
        finally:
            closed.set()

    async with answering(endless) as url:
        reply = await get(url)
        await asyncio.wait_for(closed.wait(), 10)
    assert (reply.status, reply.body) == (status, b"a" * 4096)
    assert sent < FITS_IN_BUFFERS


async def test_the_deadline_ends_an_endless_body() -> None:
    finished = asyncio.Event()

    async def stalls(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"Content-Length: 9\r\n\r\nabc")
        await finished.wait()

    async with answering(stalls) as url:
        with pytest.raises(ProbeError, match="no answer from"):
            await get(url, seconds=0.2)
        finished.set()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_the_client_does_not_follow_or_show_a_redirect(status: int) -> None:
    reached = 0

    async def secret(_: web.Request) -> web.Response:
        nonlocal reached
        reached += 1
        return web.Response(status=500, text="the metadata server's secret")

    async with serving("/secret", secret) as target:

        async def elsewhere(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": f"{target}/secret"}, text="look there")

        async with serving("/answerz", elsewhere) as url:
            verdict = await ask(url)
    assert (verdict.outcome, reached) == ("failed", 0)
    assert verdict.detail == f"HTTP {status}: a redirect, which the operator does not follow."


async def test_the_client_neither_requests_nor_unpacks_compressed_bodies() -> None:
    encodings = []

    async def compressed(request: web.Request) -> web.Response:
        encodings.append(request.headers["Accept-Encoding"])
        body = gzip.compress(b"0" * 2**20)
        return web.Response(status=500, body=body, headers={"Content-Encoding": "gzip"})

    async with serving("/x", compressed) as url:
        assert await get(url) == Reply(500, b"")
    assert encodings == ["identity"]


async def test_a_probe_keeps_no_cookies() -> None:
    cookies = []

    async def set_cookie(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "a=b"})

    async with serving("/x", set_cookie) as url, open_session() as session:
        for _ in range(2):
            await probe_client.get(session, f"{url.replace('127.0.0.1', 'localhost')}/x", seconds=10)
    assert cookies == [None, None]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe\x00", id="no HTTP"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="no status"),
        pytest.param(HEAD + b"Content-Length: -1\r\n\r\n", id="a negative length"),
        pytest.param(HEAD + b"Content-Length: 9\r\n\r\nabc", id="a body that is cut short"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="chunks of no length"),
        pytest.param(HEAD + b"A: " + b"b" * 2**20 + b"\r\n\r\n", id="a header of a megabyte"),
        pytest.param(HEAD + b"A: b\r\n" * 10**5 + b"\r\n", id="a hundred thousand headers"),
    ],
)
async def test_an_unusable_answer_is_quoted_in_one_bounded_line(answer: bytes) -> None:
    async def handle(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with answering(handle) as url:
        verdict = await ask(url)
    assert verdict.outcome == "failed"
    assert verdict.detail.isprintable()
    assert 0 < len(verdict.detail) <= 300
