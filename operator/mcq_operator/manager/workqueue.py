"""A keyed work queue: many events, one reconcile.

- A waiting key is queued once, however many events come.
- One worker handles a key at a time. Events that come meanwhile cause one more turn afterwards.
- Priority keys come first: a person's request does not wait for reports about other solvers' Pods. But the other keys
  get turns, too, so that a program that changes a child again and again can't block them.
- Failed work is tried again with growing delays, which are spread so that retries don't all come at the same moment.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar

from mcq_operator.client import ClusterError

logger = logging.getLogger(__name__)

Item = TypeVar("Item", bound=Hashable)

FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 120.0
PRIORITY_IN_A_ROW = 32
"""After this many priority keys, one of the others gets its turn."""


class Timer(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Cancel the call."""

    def when(self) -> float:
        """Return the time of the call, by the scheduler's clock."""


class WorkQueue(Generic[Item]):
    """Runs `work(key)` for each added key, at most `workers` at once."""

    def __init__(
        self,
        work: Callable[[Item], Awaitable[float | None]],
        *,
        workers: int,
        call_later: Callable[[float, Callable[[], None]], Timer],
        random: Callable[[], float],
        clock: Callable[[], float],
        depth: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Set up; nothing runs before `run`.

        Args:
            work: handles a key; returns in how many seconds to handle it again, or None.
            workers: the number of keys that are handled at once.
            call_later: makes a call after a delay in seconds, as an event loop's method does.
            random: a number from 0 to 1 for spreading retries.
            clock: monotonic seconds.
            depth: called with the number of waiting keys when it changes.

        """
        self._work = work
        self._workers = workers
        self._call_later = call_later
        self._random = random
        self._clock = clock
        self._depth = depth
        self._priority: OrderedDict[Item, None] = OrderedDict()
        self._normal: OrderedDict[Item, None] = OrderedDict()
        self._priority_in_a_row = 0
        self._waiting = asyncio.Semaphore(0)
        self._running: dict[Item, float] = {}
        self._requeued: dict[Item, bool] = {}
        self._failures: dict[Item, int] = {}
        self._timers: dict[Item, Timer] = {}

    def add(self, key: Item, *, priority: bool = False) -> None:
        """Queue the key; with `priority`, before all keys without it."""
        if key in self._running:
            self._requeued[key] = priority or self._requeued.get(key, False)
            return
        if key in self._priority or (key in self._normal and not priority):
            return
        if key in self._normal:
            del self._normal[key]
        else:
            self._waiting.release()
        (self._priority if priority else self._normal)[key] = None
        self._depth(self._length())

    def add_later(self, key: Item, seconds: float) -> None:
        """Queue the key after a delay, unless it is already due earlier."""
        timer = self._call_later(seconds, lambda: self._due(key))
        earlier = self._timers.get(key)
        if earlier is not None and earlier.when() <= timer.when():
            timer.cancel()
            return
        if earlier is not None:
            earlier.cancel()
        self._timers[key] = timer

    def longest(self) -> float:
        """Return the seconds since the start of the longest running work; 0 if none runs."""
        now = self._clock()
        return now - min(self._running.values(), default=now)

    async def run(self) -> None:
        """Work until cancelled. The next leader repeats the work that is cut short."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._workers):
                workers.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            await self._waiting.acquire()
            key = self._next()
            self._depth(self._length())
            self._running[key] = self._clock()
            if (timer := self._timers.pop(key, None)) is not None:
                timer.cancel()
            try:
                await self._handle(key)
            finally:
                del self._running[key]
            if key in self._requeued:
                self.add(key, priority=self._requeued.pop(key))

    def _next(self) -> Item:
        normal_turn = self._normal and self._priority_in_a_row >= PRIORITY_IN_A_ROW
        priority = bool(self._priority) and not normal_turn
        self._priority_in_a_row = self._priority_in_a_row + 1 if priority else 0
        key, _ = (self._priority if priority else self._normal).popitem(last=False)
        return key

    def _length(self) -> int:
        return len(self._priority) + len(self._normal)

    async def _handle(self, key: Item) -> None:
        try:
            seconds = await self._work(key)
        except Exception as error:  # one key's failure must not stop the other keys
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            delay = backoff(failures, self._random())
            # A traceback adds nothing to an error of the API server.
            is_known = isinstance(error, ClusterError)
            message = f"{key} failed {failures} time(s), next try in {delay:.1f} s: {error}"
            logger.log(
                logging.WARNING if is_known else logging.ERROR,
                "%s",
                message,
                exc_info=None if is_known else error,
            )
            self.add_later(key, delay)
        else:
            self._failures.pop(key, None)
            if seconds is not None:
                self.add_later(key, seconds)

    def _due(self, key: Item) -> None:
        self._timers.pop(key, None)
        self.add(key)


def backoff(failures: int, random: float) -> float:
    """Return the seconds to wait: doubled after each failure up to a limit, minus a random part of at most half."""
    longest = min(FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 32), LONGEST_RETRY_SECONDS)
    return float(longest * (1 - random / 2))
