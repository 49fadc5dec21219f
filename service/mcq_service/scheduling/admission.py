"""Who gets in: bounded by requests and by tokens; whoever is refused is told when to come again.

An admitted request holds a slot until it ends. Slots are limited by the tokens that all of them may keep in memory,
and by how many may write at once; a request that fits into neither waits, in order. An answer writes nothing, so it
never waits for another's reasoning.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mcq_service.problems import Draining, Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WEIGHT = 0.1  # of the newest request in the moving average
_MAX_RETRY_SECONDS = 60
_BATCH = 32  # enough to fill every step


@dataclass(frozen=True)
class Limits:
    """How much is taken on.

    `queued_requests` and `queued_tokens` may wait; `active_tokens` are kept in memory for those that have a slot, of
    which `writers` may write at once.
    """

    queued_requests: int
    queued_tokens: int
    active_tokens: int
    writers: int


class ServiceRate:
    """Seconds between two requests that end while there is work: a moving average."""

    def __init__(self, clock: Callable[[], float], *, initial: float = 1.0) -> None:
        """`initial` seconds are assumed before the first request."""
        self._clock = clock
        self._seconds = initial
        self._since = 0.0

    def busy(self) -> None:
        """The first request came, after a time without any."""
        self._since = self._clock()

    def ended(self) -> None:
        """A request was served."""
        now = self._clock()
        self._seconds += _WEIGHT * (now - self._since - self._seconds)
        self._since = now

    def retry_after(self, waiting: int) -> int:
        """Whole seconds until half of `waiting` requests should be served, 1 to 60."""
        return min(_MAX_RETRY_SECONDS, max(1, math.ceil(self._seconds * waiting / 2)))


class Begun(Protocol):
    """Something that knows when its first computation began."""

    begun: float | None


@dataclass(eq=False)
class _Request:
    tokens: int
    writes: bool
    turn: asyncio.Future[None]
    text: Begun | None = None

    @property
    def queued(self) -> bool:
        """Whether nothing was computed for it yet."""
        return self.text is None or self.text.begun is None


class Admission:
    """Admits requests up to its limits; belongs to one event loop."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds."""
        self._limits = limits
        self._rate = ServiceRate(clock)
        self._waiting: list[_Request] = []
        self._active: list[_Request] = []
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def queued(self) -> int:
        """Requests whose first computation has not begun."""
        return sum(request.queued for request in [*self._waiting, *self._active])

    @property
    def pending(self) -> int:
        """Requests admitted and not finished."""
        return len(self._waiting) + len(self._active)

    def batch(self) -> asyncio.Semaphore:
        """What the parts of one large request hold while they are in the queue, to leave half of it to others."""
        return asyncio.Semaphore(min(_BATCH, (self._limits.queued_requests + 1) // 2))

    @contextmanager
    def admit(self, tokens: int, *, writes: bool) -> Iterator[Slot]:
        """A place in the queue, for a request that keeps up to `tokens` in memory; leaving gives it back.

        Raises Overloaded or Draining.
        """
        if self._draining:
            raise Draining("Send the request again: another replica will take it.")
        self._refuse_if_full(tokens)
        if not self.pending:
            self._rate.busy()
        request = _Request(
            min(tokens, self._limits.active_tokens), writes, asyncio.get_running_loop().create_future()
        )
        self._waiting.append(request)
        self._idle.clear()
        self._grant()
        try:
            yield Slot(request)
            self._rate.ended()
        finally:
            (self._active if request in self._active else self._waiting).remove(request)
            self._grant()
            if not self.pending:
                self._idle.set()

    async def drain(self, *, seconds: float) -> bool:
        """Admit nothing more and wait for what was admitted; returns whether all of it ended within `seconds`."""
        self._draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _refuse_if_full(self, tokens: int) -> None:
        queued = [request for request in [*self._waiting, *self._active] if request.queued]
        size = sum(request.tokens for request in queued)
        if len(queued) < self._limits.queued_requests and (
            not queued or size + tokens <= self._limits.queued_tokens
        ):
            return
        wait = self._rate.retry_after(len(queued))
        raise Overloaded(
            f"{len(queued)} requests with {size} tokens are waiting; try again in {wait} s.",  # noqa: EM102
            headers={"Retry-After": str(wait)},
        )

    def _grant(self) -> None:
        """Give slots, in order, to whoever fits."""
        tokens = sum(request.tokens for request in self._active)
        writers = sum(request.writes for request in self._active)
        for request in list(self._waiting):
            if request.writes and writers >= self._limits.writers:
                continue
            if tokens + request.tokens > self._limits.active_tokens:
                return  # whoever comes after waits as well, or a long text would never get in
            tokens += request.tokens
            writers += request.writes
            self._waiting.remove(request)
            self._active.append(request)
            if not request.turn.done():
                request.turn.set_result(None)


class Slot:
    """An admitted request's place."""

    def __init__(self, request: _Request) -> None:
        """Made by Admission."""
        self._request = request

    async def turn(self) -> None:
        """Wait for the request's turn."""
        await self._request.turn

    def watch(self, text: Begun) -> None:
        """The request does not queue any more once this text's first computation has begun."""
        self._request.text = text
