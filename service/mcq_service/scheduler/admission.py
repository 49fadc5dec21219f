"""Who gets in: bounded by requests and by tokens; whoever is refused is told when to come again.

An admitted request holds a slot until it ends. Slots are limited by the tokens that all of them may keep in memory,
and by how many may write at once; a request that fits into neither waits, in order. An answer writes nothing, so it
never waits for another's reasoning.

A request of many parts (a batch of questions, a completion of several prompts) is admitted once, and counts as one
however many they are. One part at a time stands in the queue, and the next one stands behind whoever came since: so
requests take turns, and a single question waits for one part of each batch at most.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mcq_service.api.problems import Draining, Overloaded
from mcq_service.engine import Share
from mcq_service.runtime.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

_WEIGHT = 0.1  # of the newest request in the moving average
_MAX_RETRY_SECONDS = 60
# Parts under way at a time, of all requests: enough to fill every step. More would only wait in the engine's line,
# where the deadline of each runs.
PARTS = 32

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """How much is taken on.

    `queued_requests` and `queued_tokens` may wait, a request of many parts being one; `active_tokens` are kept in
    memory for those that have a slot, of which `writers` may write at once.
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
    part: LanePart | None
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
        self._lanes: set[Lane] = set()
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def queued(self) -> int:
        """Requests, and parts of them, whose first computation has not begun."""
        return sum(request.queued for request in [*self._waiting, *self._active])

    @property
    def pending(self) -> int:
        """Requests, and parts of them, that were admitted and are not finished."""
        return len(self._waiting) + len(self._active)

    @contextmanager
    def lane(self, parts: int) -> Iterator[Lane]:
        """A place in the queue for a request of so many parts, until all of them had their turn.

        Raises Overloaded or Draining.
        """
        self._refuse_if_draining()
        self._refuse_if_full(0)
        lane = Lane(parts, left=self._lanes.discard)
        self._lanes.add(lane)
        try:
            yield lane
        finally:
            self._lanes.discard(lane)

    @contextmanager
    def admit(self, tokens: int, *, writes: bool, part: LanePart | None = None) -> Iterator[Slot]:
        """A place in the queue, for a request that keeps up to `tokens` in memory; leaving gives it back.

        A part has its request's place. Raises Overloaded or Draining.
        """
        self._refuse_if_draining()
        if part is None:
            self._refuse_if_full(tokens)
        if not self.pending:
            self._rate.busy()
        turn = asyncio.get_running_loop().create_future()
        request = _Request(min(tokens, self._limits.active_tokens), writes, part, turn)
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

    def _refuse_if_draining(self) -> None:
        if self._draining:
            raise Draining("Send the request again: another replica will take it.")

    def _refuse_if_full(self, tokens: int) -> None:
        alone = [each for each in [*self._waiting, *self._active] if each.part is None and each.queued]
        heads = [each for each in self._waiting if each.part is not None]
        size = sum(each.tokens for each in [*alone, *heads])
        count = len(alone) + len(self._lanes)
        if count < self._limits.queued_requests and (
            not count or size + tokens <= self._limits.queued_tokens
        ):
            return
        wait = self._rate.retry_after(len(alone) + sum(lane.waiting for lane in self._lanes))
        raise Overloaded(
            f"{count} requests with {size} tokens are waiting; try again in {wait} s.",  # noqa: EM102
            headers={"Retry-After": str(wait)},
        )

    def _grant(self) -> None:
        """Give slots, in order, to whoever fits."""
        tokens = sum(request.tokens for request in self._active)
        writers = sum(request.writes for request in self._active)
        parts = sum(request.part is not None for request in self._active)
        for request in list(self._waiting):
            if request.writes and writers >= self._limits.writers:
                continue
            if request.part is not None and parts >= PARTS:
                continue
            if tokens + request.tokens > self._limits.active_tokens:
                return  # whoever comes after waits as well, or a long text would never get in
            tokens += request.tokens
            writers += request.writes
            parts += request.part is not None
            self._waiting.remove(request)
            self._active.append(request)
            if request.part is not None:
                request.part.advance()
            if not request.turn.done():
                request.turn.set_result(None)


class LanePart:
    """One part of a request that has many."""

    def __init__(self, share: Share) -> None:
        """Made by Lane."""
        self.share = share
        self._advanced = asyncio.Event()

    def advance(self, _: object = None) -> None:
        """It stands in the queue no more: it has its turn, or has ended."""
        self._advanced.set()

    async def advanced(self) -> None:
        """Wait until it stands in the queue no more."""
        await self._advanced.wait()


class Lane:
    """The place of a request that has many parts."""

    def __init__(self, parts: int, *, left: Callable[[Lane], None]) -> None:
        """Made by Admission; `left` is called when none of its parts waits any more."""
        self.waiting = parts
        """Parts that have not had their turn."""
        self._share = Share()
        self._left = left

    async def gather(self, works: Sequence[Callable[[LanePart], Coroutine[Any, Any, T]]]) -> list[T]:
        """What each part comes to, in their order. The first failure ends the others, and is raised.

        A part begins when the one before it has its turn, or has ended without one.
        """
        tasks: list[asyncio.Task[T]] = []
        async with task_group() as group:
            for work in works:
                part = LanePart(self._share)
                tasks.append(group.create_task(work(part)))
                tasks[-1].add_done_callback(part.advance)
                await part.advanced()
                self.waiting -= 1
            self._left(self)
        return [task.result() for task in tasks]


class Slot:
    """An admitted request's place."""

    def __init__(self, request: _Request) -> None:
        """Made by Admission."""
        self._request = request
        self.share = Share() if request.part is None else request.part.share

    async def turn(self) -> None:
        """Wait for the request's turn."""
        await self._request.turn

    def watch(self, text: Begun) -> None:
        """The request does not queue any more once this text's first computation has begun."""
        self._request.text = text
