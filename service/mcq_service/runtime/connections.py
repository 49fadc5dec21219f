"""HTTP connections that clients can't hold open by doing nothing, and that leave room for each other.

uvicorn has no time limit on a request's head, nor on a client that does not read its answer, and once it has as many
connections as it may, it refuses every request on any of them. Here a new connection takes the place of an idle one.

One peer may have half of the connections. An Ingress controller or a mesh's sidecar is one peer, too, for all clients
behind it. It does not need more: half of the connections is at least twice what the queue takes, so a request on one
more would be refused anyway. Of those that it keeps idle, the one idle for longest is closed for a new one, as the
keep-alive limit would do.
"""

from __future__ import annotations

import resource
from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mcq_service.api.http import errors
from mcq_service.api.problems import Overloaded

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

MAX_HEAD_BYTES = 32 * 1024
KEEP_ALIVE_SECONDS = (
    75  # longer than the idle limit of common proxies (60 s), which would else lose requests to a race
)
CLOSE_SECONDS = 2  # for connections that stay open after the last answer
MAX_CONNECTIONS = 1024
OTHER_FILES = 1024
"""Besides the connections: weights, sockets to the engine, what the libraries open."""


class Connection(H11Protocol):
    """uvicorn's protocol, with a time limit wherever it waits for a client, and a number of connections."""

    head_seconds: ClassVar[float] = 10.0
    """For a request's whole head to be here, from the connection or from the first byte after the last answer.

    Also for the rest of a body that was not read, which is what follows an early answer.
    """
    read_seconds: ClassVar[float] = 60.0
    """For a client to read on, once as much of an answer waits for it as is kept in memory."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """See uvicorn, whose own use of the number of connections is replaced."""
        super().__init__(*args, **kwargs)
        assert self.limit_concurrency is not None, "see `config`"  # noqa: S101
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self._patience: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self.peer = ""
        self.since = self.loop.time()

    @property
    def idle(self) -> bool:
        """Whether no request is being answered, or received beyond its head."""
        return getattr(self.cycle, "response_complete", True)  # there is no cycle before the first request

    def connection_made(self, transport: Any) -> None:
        """Start waiting for the first request, if need be in another's place."""
        super().connection_made(transport)
        self.peer = peer_of(self.client)
        self._make_room()
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what came; only a whole head ends the wait, not another byte of it."""
        super().data_received(data)
        if not self.idle:
            self._stop_waiting()
        elif self.timeout_keep_alive_task is None:
            self._wait()

    def on_response_complete(self) -> None:
        """Leave the idle connection to uvicorn's own limit."""
        self.since = self.loop.time()
        self._stop_waiting()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Give the client a time to read on."""
        super().pause_writing()
        self._reading = self.loop.call_later(self.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It read on."""
        super().resume_writing()
        self._stop_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        self._stop_reading()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        """Where there are too many connections, or too many of this peer, close an idle one, or refuse this one."""
        others = [
            each
            for each in self.connections
            if isinstance(each, Connection) and each is not self and not each.transport.is_closing()
        ]
        of_peer = [each for each in others if each.peer == self.peer]
        if len(of_peer) >= self._most // 2:
            self._replace_one(of_peer)
        elif len(others) >= self._most:
            self._replace_one(others)

    def _replace_one(self, others: Sequence[Connection]) -> None:
        held = Counter(each.peer for each in others)
        idle = [each for each in others if each.idle]
        if idle:
            # Of the peer that has most, so that no one with many displaces those with few.
            max(idle, key=lambda each: (held[each.peer], -each.since)).transport.abort()
        else:
            self.app = _refuse

    def _wait(self) -> None:
        if self._patience is None and not self.transport.is_closing():
            self._patience = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


def most(*, queued_requests: int) -> int:
    """How many connections a server has that queues so many requests."""
    return max(MAX_CONNECTIONS, 4 * queued_requests)


def config(app: ASGIApp, *, most: int = MAX_CONNECTIONS) -> uvicorn.Config:
    """How uvicorn serves the app: one protocol, bounded everywhere, silent where the app logs itself."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        limit_concurrency=most,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )


def allow_files(*, connections: int) -> None:
    """Let the process open as many files as its connections need: the usual soft limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def peer_of(client: tuple[str, int] | None) -> str:
    """Who is at the other end: an IPv4 address, or the 64 bits of an IPv6 network, which one host may have all of."""
    if client is None:
        return ""
    address = ip_address(client[0])
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or int(address) >> 64)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request: all connections are being answered."""
    headers = {"Retry-After": "1", "Connection": "close"}
    error = Overloaded("All connections to this replica are in use.", headers=headers)
    await errors.response(scope, error)(scope, receive, send)
