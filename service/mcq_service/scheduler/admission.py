"""Bound the work in progress by requests and by tokens; tell refused clients when to try again.

An admitted request holds a slot until it ends. Two limits bound the slots: the tokens that all of them may keep in
memory, and the number of requests that may write at once. A request that exceeds either waits, in order. A request
that only answers writes nothing, so it never waits for another's reasoning.

A request of many parts (a batch of questions, a completion of several prompts) is admitted once and counts as one
request. Only one of its parts is in the queue at a time, and its next part queues behind requests that arrived since.
So requests take turns, and a single question waits for at most one part of each batch.

The queue is also bounded in time. A slow replica can't finish a full queue before the requests' deadlines, and would
compute answers for clients that have left. So it refuses a request if the requests before it will take more than half
of the deadline. The other half is for the request's own computation, and for an estimate that is too low.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcq_service.engine import Share
from mcq_service.scheduler.errors import DeadlinePassed, QueueClosed, QueueFull
from mcq_service.scheduler.request_parts import PartState, RequestParts
from mcq_service.scheduler.service_rate import ServiceRate
from mcq_service.scheduler.slot import Slot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from mcq_service.scheduler.request_parts import RequestPart

_QUEUED_SHARE = 0.5  # of the deadline
# Active parts of all requests: enough to fill every step. More would only wait in the engine's queue, where their
# deadlines run.
MAX_ACTIVE_PARTS = 32


@dataclass(frozen=True)
class Limits:
    """Bounds of the work in progress.

    At most `queued_requests` with `queued_tokens` wait; a request of many parts counts as one. Requests with a slot
    keep at most `active_tokens` in memory, and at most `writers` of them write at once. Each has `deadline_seconds`.
    """

    queued_requests: int
    queued_tokens: int
    active_tokens: int
    writers: int
    deadline_seconds: float


class Admission:
    """Admits requests up to its limits; belongs to one event loop."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Admit up to `limits`; `clock` is in seconds."""
        self._limits = limits
        # Requests that write wait for a writer's slot, and others pass them: two queues with a rate each.
        self._rates = {writes: ServiceRate(clock) for writes in (False, True)}
        self._waiting: list[Slot] = []
        self._active: list[Slot] = []
        self._many_parts: set[RequestParts] = set()
        self._draining = False
        self._in_progress = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def queued(self) -> int:
        """The number of requests, and parts of them, whose first computation has not begun."""
        return sum(request.queued for request in [*self._waiting, *self._active])

    @property
    def pending(self) -> int:
        """The number of requests, and parts of them, that were admitted and have not ended."""
        return len(self._waiting) + len(self._active)

    @property
    def deadline_seconds(self) -> float:
        """The longest time of one request."""
        return self._limits.deadline_seconds

    def refuse_if_full(self) -> None:
        """Refuse a request before it is read if none could be admitted. Raises QueueFull.

        Reading a request costs many times as much as refusing it.
        """
        self._refuse_if_full(0, wait=min(self._wait_seconds(writes=each) for each in (False, True)))

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """Bound the time of one request, from before its admission to its end. Raises DeadlinePassed.

        A drain waits for the whole request, also while it holds no slot.
        """
        self._in_progress += 1
        self._idle.clear()
        try:
            async with asyncio.timeout(self._limits.deadline_seconds):
                yield
        except TimeoutError:
            raise DeadlinePassed("The service is too busy for this deadline; try again later.") from None
        finally:
            self._in_progress -= 1
            self._mark_idle()

    def _mark_idle(self) -> None:
        if not (self.pending or self._in_progress):
            self._idle.set()

    @contextmanager
    def admit_parts(self, count: int) -> Iterator[RequestParts]:
        """Hold a place in the queue for a request of many parts, until all of them had their turn.

        Raises QueueFull or QueueClosed.
        """
        self._refuse_if_draining()
        self._refuse_if_full(0, wait=max(self._wait_seconds(writes=each) for each in (False, True)))
        parts = RequestParts(count, on_empty=self._many_parts.discard)
        self._many_parts.add(parts)
        try:
            yield parts
        finally:
            self._many_parts.discard(parts)

    @contextmanager
    def admit(
        self, tokens: int, *, writes: bool, part: RequestPart | None = None,
        openings: Mapping[Any, int] | None = None, again: bool = False,
    ) -> Iterator[Slot]:  # fmt: skip
        """Hold a place in the queue for a request that keeps up to `tokens` in memory.

        `openings` are the tokens that it keeps beside these; they count once for all parts with the same key. A
        part uses its request's place. A request that had a slot before (`again`) is never refused. Raises QueueFull or
        QueueClosed.
        """
        openings = openings or {}
        total = tokens + sum(openings.values())
        if not again:
            self._refuse_if_draining()
        if part is None and not again:
            self._refuse_if_full(total, wait=self._wait_seconds(writes=writes))
        if total > self._limits.active_tokens:
            tokens, openings = self._limits.active_tokens, {}
        granted = asyncio.get_running_loop().create_future()
        share = Share() if part is None else part.share
        request = Slot(tokens, openings, writes, part, granted, share)
        self._waiting.append(request)
        if part is not None:
            part.move(PartState.WAITING)
        self._idle.clear()
        self._grant()
        try:
            yield request
            self._rates[writes].ended(others_wait=self._waiting_before(writes=writes) > 0)
        finally:
            (self._active if request in self._active else self._waiting).remove(request)
            self._grant()
            self._mark_idle()

    async def drain(self, *, seconds: float) -> bool:
        """Admit nothing more and wait for the admitted requests; return whether all ended within `seconds`."""
        self._draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _refuse_if_draining(self) -> None:
        if self._draining:
            raise QueueClosed("Send the request again: another replica will take it.")

    def _queue(self) -> list[Slot]:
        """Return the requests in the queue; for a request of many parts, the part that is in it."""
        alone = [each for each in [*self._waiting, *self._active] if each.part is None and each.queued]
        return [*alone, *(each for each in self._waiting if each.part is not None)]

    def _waiting_before(self, *, writes: bool) -> int:
        return sum(each.writes is writes for each in self._queue())

    def _wait_seconds(self, *, writes: bool) -> float:
        return self._rates[writes].wait_seconds(self._waiting_before(writes=writes))

    def _refuse_if_full(self, tokens: int, *, wait: float) -> None:
        """Raise QueueFull if the queue has no place, or if its requests will take too long: `wait` seconds."""
        queue = self._queue()
        size = sum(each.size for each in queue)
        count = sum(each.part is None for each in queue) + len(self._many_parts)
        if (
            count < self._limits.queued_requests
            and (not count or size + tokens <= self._limits.queued_tokens)
            and wait <= _QUEUED_SHARE * self._limits.deadline_seconds
        ):
            return
        waiting = count - len(self._many_parts) + sum(parts.waiting for parts in self._many_parts)
        retry = max(rate.retry_after(waiting) for rate in self._rates.values())
        raise QueueFull(
            f"{count} requests with {size} tokens are waiting; try again in {retry} s.", retry_after=retry
        )

    def _grant(self) -> None:
        """Give slots to the waiting requests that fit, in order."""
        openings: dict[Any, int] = {}
        for request in self._active:
            openings.update(request.openings)
        tokens = sum(request.tokens for request in self._active) + sum(openings.values())
        writers = sum(request.writes for request in self._active)
        parts = sum(request.part is not None for request in self._active)
        for request in list(self._waiting):
            if request.writes and writers >= self._limits.writers:
                continue
            if request.part is not None and parts >= MAX_ACTIVE_PARTS:
                continue
            more = {key: size for key, size in request.openings.items() if key not in openings}
            size = request.tokens + sum(more.values())
            if tokens + size > self._limits.active_tokens:
                return  # later requests wait as well, or a long text would never get a slot
            tokens += size
            openings.update(more)
            writers += request.writes
            parts += request.part is not None
            self._waiting.remove(request)
            self._active.append(request)
            if request.part is not None:
                request.part.move(PartState.GRANTED)
                request.part.left_queue.set()
            if not request.granted.done():
                request.granted.set_result(None)
