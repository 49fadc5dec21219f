"""HTTP connections that idle clients can't exhaust.

uvicorn has no time limit for a request's head, nor for a client that does not read its answer, and with too many
connections it refuses every request on all of them. Here a new connection replaces an idle one.

One peer may have half of the connections. An Ingress controller or a mesh's sidecar is one peer for all clients behind
it. Half is enough for it: that is at least twice the queue's size, so a request on one more connection would be
refused anyway. A peer with half of all connections gets a new one only in place of the one that has been idle longest,
which the keep-alive limit would close next.
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
    75  # longer than common proxies keep idle connections (60 s): a proxy must not send on one that closes
)
CLOSE_SECONDS = 2  # for connections that stay open after the last answer
MAX_CONNECTIONS = 1024
OTHER_FILES = 1024
"""Files besides the connections: weights, sockets to the engine, those of the libraries."""


class Connection(H11Protocol):
    """uvicorn's protocol with a time limit for each wait for a client, and a limit on connections."""

    head_seconds: ClassVar[float] = 10.0
    """Time for a request's whole head, counted from the connection or from the first byte after the last answer.

    It also limits the rest of an unread body after an early answer.
    """
    read_seconds: ClassVar[float] = 60.0
    """Time for a client to continue reading, once the buffer for its answer is full."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """See uvicorn. This class replaces its limit on connections."""
        super().__init__(*args, **kwargs)
        assert self.limit_concurrency is not None, "see `uvicorn_config`"
        self._limit, self.limit_concurrency = self.limit_concurrency, None
        self._head_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None
        self.peer = ""
        self.since = self.loop.time()

    @property
    def idle(self) -> bool:
        """True unless a request is being answered, or received beyond its head."""
        return getattr(self.cycle, "response_complete", True)  # there is no cycle before the first request

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request; replace another connection if there are too many."""
        super().connection_made(transport)
        self.peer = peer_of(self.client)
        self._make_room()
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Take the data. Only a complete head stops the timer.

        uvicorn stops reading at the first byte after a request, and would not notice that the client leaves. Here it
        reads on until a part of the next request waits, at most about the size of a head.
        """
        super().data_received(data)
        if self.flow.read_paused and not self.cycle.more_body:
            waiting, _ = self.conn.trailing_data
            if len(waiting) <= MAX_HEAD_BYTES:
                self.flow.resume_reading()
        if not self.idle:
            self._stop_head_timer()
        elif self.timeout_keep_alive_task is None:
            self._start_head_timer()

    def on_response_complete(self) -> None:
        """Leave the idle connection to uvicorn's own limit."""
        self.since = self.loop.time()
        self._stop_head_timer()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Start the timer: the client has stopped reading."""
        super().pause_writing()
        self._read_timer = self.loop.call_later(self.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the timer: the client reads again."""
        super().resume_writing()
        self._stop_read_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._stop_head_timer()
        self._stop_read_timer()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        """If there are too many connections, in all or of this peer, close an idle one or refuse this one."""
        if len(self.connections) <= self._limit // 2:
            return
        others = [
            each
            for each in self.connections
            if isinstance(each, Connection) and each is not self and not each.transport.is_closing()
        ]
        of_peer = [each for each in others if each.peer == self.peer]
        if len(of_peer) >= self._limit // 2:
            self._replace_one(of_peer)
        elif len(others) >= self._limit:
            self._replace_one(others)

    def _replace_one(self, others: Sequence[Connection]) -> None:
        counts = Counter(each.peer for each in others)
        idle = [each for each in others if each.idle]
        if idle:
            # From the peer with the most connections, so that it can't displace peers with few.
            max(idle, key=lambda each: (counts[each.peer], -each.since)).transport.abort()
        else:
            self.app = _refuse

    def _start_head_timer(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None


def max_connections(*, queued_requests: int) -> int:
    """Return the limit on connections for a server that queues this many requests."""
    return max(MAX_CONNECTIONS, 4 * queued_requests)


def uvicorn_config(app: ASGIApp, *, limit: int = MAX_CONNECTIONS) -> uvicorn.Config:
    """Return uvicorn's configuration: one protocol, limits everywhere, and no log besides the app's own."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        limit_concurrency=limit,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )


def raise_file_limit(*, connections: int) -> None:
    """Let the process open as many files as its connections need: the usual soft limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def peer_of(client: tuple[str, int] | None) -> str:
    """Return the peer: an IPv4 address, or an IPv6 network of 64 bits, all of which one host may have."""
    if client is None:
        return ""
    address = ip_address(client[0])
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or int(address) >> 64)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse every request: all connections are in use."""
    headers = {"Retry-After": "1", "Connection": "close"}
    error = Overloaded("All connections to this replica are in use.", headers=headers)
    await errors.problem_response(scope, error)(scope, receive, send)
