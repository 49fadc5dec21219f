"""Many connections, idle ones and unread ones: which stay and which are closed."""

import asyncio
import json
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from tests.service.fakes import ANSWER, QUESTION, Replica, until

from mcq_service.api import app
from mcq_service.runtime import connections
from mcq_service.runtime.connections import Connection

MOST = 8  # the limit of connections; one peer may have half of them
PROBE = b"GET /livez HTTP/1.1\r\nHost: replica\r\n\r\n"
BODY = json.dumps(QUESTION).encode()
POST = f"POST {ANSWER} HTTP/1.1\r\nHost: replica\r\nContent-Type: application/json\r\n".encode()
ASK = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


class Line:
    """One connection of a client, optionally from an address of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def request(self, data: bytes) -> int:
        """Return the response's status; 0 if the connection closes without a response."""
        self.send(data)
        return await self.status()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def status(self) -> int:
        async with asyncio.timeout(10):
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await self._reader.readexactly(int(length))
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0
        return int(head.split()[1])

    async def is_closed(self) -> bool:
        """Return True if the server closes the connection or has closed it."""
        try:
            async with asyncio.timeout(0.2):
                return await self._reader.read(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def close(self) -> None:
        self._writer.transport.abort()


class Clients:
    """Opens connections to a server from any loopback address."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lines: list[Line] = []

    async def open(self, peer: int = 1) -> Line:
        line_ = Line(
            *await asyncio.open_connection("127.0.0.1", self._port, local_addr=(f"127.0.0.{peer}", 0))
        )
        self._lines.append(line_)
        return line_

    async def idle(self, count: int, peer: int = 1) -> list[Line]:
        """Open this many connections and use each once, one after the other."""
        opened = []
        for _ in range(count):
            line = await self.open(peer)
            assert await line.request(PROBE) == 200
            opened.append(line)
        return opened

    def close(self) -> None:
        for line in self._lines:
            line.close()


@asynccontextmanager
async def serving(served: Any, most: int = MOST) -> AsyncIterator[Clients]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(connections.uvicorn_config(served, limit=most))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        clients = Clients(listener.getsockname()[1])
        try:
            yield clients
        finally:
            clients.close()
            server.should_exit = True
            await running


async def closed(lines: list[Line]) -> list[bool]:
    return list(await asyncio.gather(*(line.is_closed() for line in lines)))


async def test_a_new_connection_replaces_the_one_idle_for_longest(replica: Replica) -> None:
    """It replaces one of the peer with the most connections, so that this peer can't displace one with few."""
    replica.load()
    async with serving(replica.app) as clients:
        old = await clients.idle(1, peer=2)
        many = await clients.idle(4, peer=1)
        newer = await clients.idle(3, peer=3)
        assert await (await clients.open(peer=4)).request(PROBE) == 200
        assert await closed([*old, *many, *newer]) == [False, True, *[False] * 6]


async def test_one_peer_has_half_of_the_connections_and_replaces_its_own(replica: Replica) -> None:
    """The peer's own idle connections are closed in order, and all of its requests are answered."""
    replica.load()
    async with serving(replica.app) as clients:
        other = await clients.idle(2, peer=2)
        many = await clients.idle(20)
        assert await closed([*other, *many]) == [False, False, *[True] * 16, *[False] * 4]


async def test_a_silent_connection_counts_as_idle(replica: Replica) -> None:
    """Such a connection has sent nothing yet, or a part of a head."""
    replica.load()
    async with serving(replica.app) as clients:
        silent = [await clients.open() for _ in range(MOST // 2)]
        silent[0].send(PROBE[:10])
        await asyncio.sleep(0)
        assert await (await clients.open()).request(PROBE) == 200
        assert await closed(silent) == [True, False, False, False]


async def test_no_connection_is_closed_during_a_request(replica: Replica) -> None:
    """A connection too many is refused with a reason; later there is room again."""
    replica.texts.gate.clear()
    replica.load(max_active=MOST)
    async with serving(replica.app) as clients:
        busy = [await clients.open() for _ in range(MOST // 2)]
        for line in busy:
            line.send(ASK)
        await until(lambda: len(replica.texts.read) == MOST // 2)
        refused = await clients.open()
        assert await refused.request(PROBE) == 429
        assert await refused.is_closed()
        assert await (await clients.open(peer=2)).request(PROBE) == 200
        replica.texts.gate.set()
        assert [await line.status() for line in busy] == [200] * len(busy)
        assert await (await clients.open()).request(PROBE) == 200


async def test_probes_are_answered_whatever_clients_do(replica: Replica) -> None:
    """They have a port of their own, which answers no questions."""
    replica.texts.gate.clear()
    replica.load(max_active=MOST)
    probes = app.build_probes(replica.lifecycle, metrics=replica.metrics, tracing=replica.tracing)
    async with serving(replica.app) as clients, serving(probes) as kubelet:
        for peer in (1, 2):
            for _ in range(MOST // 2):
                (await clients.open(peer)).send(ASK)
        await until(lambda: len(replica.texts.read) == MOST)
        assert await (await clients.open(peer=3)).request(PROBE) == 429
        for path, status in (("startupz", 200), ("readyz", 200), ("livez", 200), ("metrics", 200)):
            probe = PROBE.replace(b"livez", path.encode())
            assert await (await kubelet.open()).request(probe) == status
        assert await (await kubelet.open()).request(ASK) == 404
        await kubelet.idle(3 * MOST)
        await asyncio.gather(*(kubelet.open() for _ in range(3 * MOST)))
        assert await (await kubelet.open()).request(PROBE) == 200
        replica.texts.gate.set()


async def test_a_client_that_does_not_read_loses_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise an unread answer would keep its writer waiting for ever."""
    monkeypatch.setattr(Connection, "read_seconds", 0.3)
    ended = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await receive()
        leaving = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not leaving.done():
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
            await asyncio.sleep(0)
        ended.set()

    async with serving(endless) as clients, asyncio.timeout(10):
        (await clients.open()).send(PROBE)
        await ended.wait()


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> bytearray:
    """Return the bytes that the server has taken from its clients."""
    data = bytearray()
    original = Connection.data_received

    def record(self: Connection, more: bytes) -> None:
        original(self, more)
        data.extend(more)

    monkeypatch.setattr(Connection, "data_received", record)
    return data


@pytest.mark.parametrize("more", [b"\r\n", PROBE[:10], PROBE])
async def test_a_client_that_sends_more_than_its_request_and_leaves_is_noticed(
    replica: Replica, received: bytearray, more: bytes
) -> None:
    replica.texts.gate.clear()
    replica.load()
    async with serving(replica.app) as clients:
        line = await clients.open()
        line.send(ASK)
        await until(lambda: replica.texts.read)
        for byte in more:
            line.send(bytes([byte]))
            await until(partial(received.endswith, bytes([byte])), seconds=4)
        line.close()
        await until(lambda: replica.texts.open_texts == 0, seconds=5)
        assert replica.admission.pending == 0


async def test_pipelined_requests_are_answered_in_order(replica: Replica, received: bytearray) -> None:
    """Also one that is longer than what the server reads in advance."""
    replica.texts.gate.clear()
    replica.load()
    body = json.dumps({**QUESTION, "context": "x" * 150_000, "instructions": "y" * 4_000}).encode()
    long = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    async with serving(replica.app) as clients:
        line = await clients.open()
        line.send(ASK)
        await until(lambda: replica.texts.read)
        line.send(PROBE.replace(b"livez", b"nowhere"))
        await until(lambda: received.endswith(PROBE[-4:]) and b"nowhere" in received)
        line.send(long * 8)
        await until(lambda: len(received) > len(ASK) + len(PROBE) + connections.MAX_HEAD_BYTES)
        assert len(received) < len(long * 8)
        replica.texts.gate.set()
        assert [await line.status() for _ in range(10)] == [200, 404] + [200] * 8


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", str(0x20010DB800000000)),
        ("2001:db8::ffff:0:1", str(0x20010DB800000000)),
    ],
)
def test_an_ipv6_peer_is_its_network(host: str, peer: str) -> None:
    """One host may have all addresses of the network."""
    assert connections.peer_of((host, 1)) == peer


def test_a_longer_queue_has_more_connections() -> None:
    """A proxy's half of the connections then does not limit the queue."""
    assert connections.max_connections(queued_requests=64) == connections.MAX_CONNECTIONS
    assert connections.max_connections(queued_requests=1000) == 4000


@contextmanager
def file_limit(soft: int) -> Iterator[int]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_there_are_files_for_all_connections() -> None:
    """A container's soft limit is often 1024; a higher limit is kept."""
    with file_limit(512) as hard:
        connections.raise_file_limit(connections=1024)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(2048, hard), hard)
        connections.raise_file_limit(connections=10)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(2048, hard), hard)
