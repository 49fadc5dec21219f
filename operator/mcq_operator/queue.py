"""A keyed work queue: many events, one look.

- A key that is waiting is not queued twice: any number of events means one piece of work.
- A key that is being worked on is not given to a second worker; events meanwhile mean one more turn after it.
- What is urgent comes first, what a person has just asked for does not wait for what others' Pods report; but not for
  ever: who fights with the operator over a child must not keep all others waiting.
- Work that fails is tried again, later each time; the delays are spread so that failures don't march in step.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar

from .kube import ClusterError

logger = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)

FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 120.0
URGENT_IN_A_ROW = 32
"""After so many urgent keys one of those that wait has its turn."""


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Don't make it."""

    def when(self) -> float:
        """The time it is to be made at, by the clock of whoever makes it."""


class CallLater(Protocol):
    """How a call is put off; an event loop's `call_later` is one."""

    def __call__(self, delay: float, call: Callable[[], None], /) -> Timer:
        """Make `call` in `delay` seconds."""


class WorkQueue(Generic[Key]):
    """Runs `work(key)` for each added key, at most `workers` at once."""

    def __init__(
        self,
        work: Callable[[Key], Awaitable[float | None]],
        *,
        workers: int,
        call_later: CallLater,
        random: Callable[[], float],
        clock: Callable[[], float],
        depth: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Set up; nothing runs before `run`.

        Args:
            work: returns in how many seconds to look at the key again, or None.
            workers: how many keys are worked on at once.
            call_later: makes a call after a delay in seconds.
            random: a number from 0 to 1 for spreading retries.
            clock: monotonic seconds.
            depth: told the number of waiting keys whenever it changes.

        """
        self._work = work
        self._workers = workers
        self._call_later = call_later
        self._random = random
        self._clock = clock
        self._depth = depth
        self._urgent: OrderedDict[Key, None] = OrderedDict()
        self._others: OrderedDict[Key, None] = OrderedDict()
        self._urgent_in_a_row = 0
        self._waiting = asyncio.Semaphore(0)
        self._running: dict[Key, float] = {}
        self._again: dict[Key, bool] = {}
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, Timer] = {}

    def add(self, key: Key, *, urgent: bool = False) -> None:
        """Have the key looked at soon; if it is `urgent`, before all that are not."""
        if key in self._running:
            self._again[key] = urgent or self._again.get(key, False)
            return
        if key in self._urgent or (key in self._others and not urgent):
            return
        if key in self._others:
            del self._others[key]
        else:
            self._waiting.release()
        (self._urgent if urgent else self._others)[key] = None
        self._depth(self._length())

    def add_later(self, key: Key, seconds: float) -> None:
        """Have the key looked at after a while, or earlier if an earlier time was set already."""
        timer = self._call_later(seconds, lambda: self._due(key))
        earlier = self._timers.get(key)
        if earlier is not None and earlier.when() <= timer.when():
            timer.cancel()
            return
        if earlier is not None:
            earlier.cancel()
        self._timers[key] = timer

    def longest(self) -> float:
        """Seconds since the start of the piece of work that takes longest; 0 when there is none."""
        return self._clock() - min(self._running.values(), default=self._clock())

    async def run(self) -> None:
        """Work until cancelled. Work that is cut short is found again by whoever looks next."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._workers):
                workers.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            await self._waiting.acquire()
            key = self._next()
            self._depth(self._length())
            self._running[key] = self._clock()
            self._forget_timer(key)
            try:
                await self._turn(key)
            finally:
                del self._running[key]
            if key in self._again:
                self.add(key, urgent=self._again.pop(key))

    def _next(self) -> Key:
        waited = self._others and self._urgent_in_a_row >= URGENT_IN_A_ROW
        urgent = bool(self._urgent) and not waited
        self._urgent_in_a_row = self._urgent_in_a_row + 1 if urgent else 0
        key, _ = (self._urgent if urgent else self._others).popitem(last=False)
        return key

    def _length(self) -> int:
        return len(self._urgent) + len(self._others)

    async def _turn(self, key: Key) -> None:
        try:
            seconds = await self._work(key)
        except Exception as error:  # whatever went wrong, the other keys go on and this one gets its retry
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            delay = backoff(failures, self._random())
            # Of what the server did not do, a traceback says nothing more.
            known = isinstance(error, ClusterError)
            words = f"{key} failed {failures} time(s), next try in {delay:.1f} s: {error}"
            logger.log(
                logging.WARNING if known else logging.ERROR, "%s", words, exc_info=None if known else error
            )
            self.add_later(key, delay)
        else:
            self._failures.pop(key, None)
            if seconds is not None:
                self.add_later(key, seconds)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _forget_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()


def backoff(failures: int, random: float) -> float:
    """Seconds to wait after so many failures: doubling up to a bound, less up to a half by chance."""
    longest = min(FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 32), LONGEST_RETRY_SECONDS)
    return float(longest * (1 - random / 2))
