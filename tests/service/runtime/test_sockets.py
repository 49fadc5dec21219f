"""The service on a real socket, with broken, slow and hostile clients."""

import asyncio
import json
import logging
import random
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
import uvicorn
from tests.service.fakes import ANSWER, QUESTION, Replica
from tests.service.local import listening

from mcq_service.api.http.body import MAX_BYTES, BodyLimits
from mcq_service.runtime import connections
from mcq_service.runtime.connections import MAX_HEAD_BYTES, Connection

SECONDS = 0.4  # the time limits in these tests
BODY = json.dumps(QUESTION).encode()
HEAD = f"POST {ANSWER} HTTP/1.1\r\nHost: replica\r\nContent-Type: application/json\r\n".encode()
GOOD = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
TOO_MANY = MAX_BYTES + 1
PROBE = b"GET /livez HTTP/1.1\r\nHost: replica\r\n\r\n"


class Peer:
    """Sends bytes to the service and reads its response."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def exchange(self, *parts: bytes, pause: float = 0, half_close: bool = False) -> bytes:
        """Read until the service closes; raise TimeoutError if it never does."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        receiving = asyncio.create_task(_receive(reader))
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            if half_close:
                writer.write_eof()
        received = await receiving
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return received

    async def statuses(self, *parts: bytes, pause: float = 0, half_close: bool = False) -> list[int]:
        received = await self.exchange(*parts, pause=pause, half_close=half_close)
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", received)]


async def _receive(reader: asyncio.StreamReader) -> bytes:
    received = b""
    with suppress(ConnectionError):
        while part := await asyncio.wait_for(reader.read(65_536), 5 * SECONDS):
            received += part
    return received


@pytest.fixture
async def peer(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Peer]:
    """Yield a peer of a ready service; at the end the service must answer a good question without a logged error."""
    monkeypatch.setattr(Connection, "head_seconds", SECONDS)
    monkeypatch.setattr(connections, "KEEP_ALIVE_SECONDS", SECONDS)
    limits = next(
        each
        for each in replica.app.user_middleware
        if getattr(each.cls, "__name__", "") == BodyLimits.__name__
    )
    limits.kwargs["seconds"] = SECONDS
    replica.load()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(connections.uvicorn_config(replica.app))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        connected = Peer(listener.getsockname()[1])
        yield connected
        assert await connected.statuses(GOOD) == [200]
        server.should_exit = True
        await serving
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_good_requests_are_answered(peer: Peer) -> None:
    """They have a length or come in chunks, one after the other or all at once."""
    assert await peer.statuses(GOOD) == [200]
    assert await peer.statuses(CHUNKED) == [200]
    assert await peer.statuses(GOOD, PROBE, CHUNKED, pause=0.05) == [200, 200, 200]
    assert await peer.statuses(GOOD + PROBE + CHUNKED + PROBE) == [200, 200, 200, 200]


@pytest.mark.parametrize(("trusted", "scheme"), [(None, "https"), ("10.0.0.0/8", "http")])
async def test_forwarded_headers_are_accepted_only_from_trusted_proxies(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, trusted: str | None, scheme: str
) -> None:
    """uvicorn's own variable lists the proxies; by default a sidecar on the loopback address is trusted."""
    if trusted:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    replica.load()
    async with listening(replica) as url, httpx.AsyncClient() as client:
        await client.get(f"{url}/v1/models", headers={"X-Forwarded-Proto": "https"})
    [span] = replica.spans.get_finished_spans()
    assert (span.attributes or {})["url.scheme"] == scheme


async def test_a_silent_connection_is_closed(peer: Peer) -> None:
    """A connection that sends its head a byte at a time is closed, too."""
    assert await peer.exchange() == b""
    async with asyncio.timeout(6 * SECONDS):
        assert await peer.exchange(*(PROBE[index : index + 1] for index in range(20)), pause=0.1) == b""


async def test_a_slow_body_is_408_and_the_connection_closed(peer: Peer) -> None:
    """The body comes a byte at a time, with a length or in chunks."""
    slow = [GOOD[: -len(BODY)], *(BODY[index : index + 1] for index in range(20))]
    assert await peer.statuses(*slow, pause=0.1) == [408]
    head = CHUNKED[: CHUNKED.index(b"\r\n\r\n") + 4]
    assert await peer.statuses(head, *[b"1\r\n \r\n"] * 20, pause=0.1) == [408]


async def test_the_rest_of_a_refused_body_does_not_keep_the_connection_open(peer: Peer) -> None:
    """A path that reads no body answers at once, and the rest has as long as a head."""
    async with asyncio.timeout(8 * SECONDS):
        parts = [b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", *[b"x"] * 20]
        assert await peer.statuses(*parts, pause=0.1) == [404]


BROKEN = [
    (b"\r\n\r\nGET\r\n\r\n", 400),
    (b"GET /livez HTTP/x\r\nHost: a\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n\r\n", 400),  # no Host
    (b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: a\r\nx y: z\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: a\r\nx: \0\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: a\r\nx: " + b"y" * (MAX_HEAD_BYTES + 1), 400),
    (b"GET /livez HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", 431),
    (b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 101 + b"\r\n", 431),
    (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    (b"GET /%ff%fe%00 HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"GET //livez HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"GET http://other/livez HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"CONNECT other:443 HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 200),
    (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    (HEAD + b"Content-Length: 1e3\r\n\r\n", 400),
    (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
    (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 30 + b"\r\n", 400),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n", 400),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % TOO_MANY + b" " * TOO_MANY, 413),
    (HEAD + b"Content-Length: 5\r\n\r\n{}", 408),
    (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + PROBE, 400),
    (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + PROBE, 400),
    (PROBE[:-2] + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + PROBE, 400),
    (HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + PROBE, 400),
]


async def test_a_broken_request_is_refused(peer: Peer) -> None:
    """It gets one response, and the status says what is broken."""
    statuses = await asyncio.gather(*(peer.statuses(request) for request, _ in BROKEN))
    assert list(zip([request for request, _ in BROKEN], statuses, strict=True)) == [
        (request, [status]) for request, status in BROKEN
    ]


def mutated(chance: random.Random) -> bytes:
    """Return good requests with a few bytes lost, doubled, changed or replaced by HTTP's own characters."""
    data = bytearray(b"".join(chance.choices([GOOD, CHUNKED, PROBE, GOOD + PROBE], k=chance.randint(1, 3))))
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice([0, 1, 1, 2, 8, 64]))
        data[start:end] = chance.choice(
            [
                b"",
                chance.randbytes(chance.choice([1, 1, 4, 100])),
                bytes(data[start:end]) * 3,
                chance.choice([b"\r\n", b"\r\n\r\n", b"\n", b"\0", b" ", b":", b"\xff", b"\xed\xa0\x80"]),
                chance.choice(
                    [b"0\r\n\r\n", b"ffffffff\r\n", b"Transfer-Encoding: chunked\r\n", b"Upgrade: h2c\r\n"]
                ),
                chance.choice([b"[" * 3000, b'{"a":' * 500, b'"', b"\\ud800", b"NaN", b"1e999"]),
                chance.choice(
                    [b"HTTP/1.0", b"HTTP/0.9", b"Expect: 100-continue\r\n", b"Connection: close\r\n"]
                ),
            ]
        )
    return bytes(data)


@pytest.mark.parametrize("seed", range(8))
async def test_any_bytes_are_refused_or_answered(peer: Peer, seed: int) -> None:
    """Random, broken, truncated and pipelined requests cause no 5xx and no hang, and the service goes on."""
    chance = random.Random(seed)

    async def attack(payload: bytes, half_close: bool) -> None:
        cut = chance.randrange(len(payload) + 1)
        async with asyncio.timeout(20 * SECONDS):
            statuses = await peer.statuses(payload[:cut], payload[cut:], half_close=half_close)
        assert all(status < 500 for status in statuses), (statuses, payload)

    payloads = [mutated(chance) for _ in range(25)]
    payloads += [chance.randbytes(chance.choice([1, 100, 70_000])) for _ in range(5)]
    payloads += [GOOD[: chance.randrange(len(GOOD))] for _ in range(5)]
    await asyncio.gather(*(attack(payload, chance.random() < 0.5) for payload in payloads))
