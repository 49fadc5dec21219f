"""One thread owns the engine; admitted requests take turns on it, a step at a time.

A request's work is a generator that yields between steps (a prefill, a decoded token). Work of one step does not
count among those that take turns, so an answer never waits for another's whole reasoning. A deadline or a client
that leaves ends a request within one step, and frees its place at once if it was still waiting.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mcq_service.problems import DeadlineExceeded, Draining, Overloaded
from mcq_service.scheduling.admission import ServiceRate

if TYPE_CHECKING:
    from mcq_service.engines import Engine

T = TypeVar("T")
Turns = Generator[None, None, T]
Work = Callable[["Engine[Any]"], Turns[T]]


class _Job(Generic[T]):
    """One admitted request; `future` is done from the scheduler's thread, or cancelled from the client's side."""

    def __init__(self, work: Work[T], *, deadline: float, single_step: bool) -> None:
        self.work = work
        self.deadline = deadline
        self.single_step = single_step
        self.future: Future[T] = Future()
        self.turns: Turns[T] | None = None
        self.seconds = 0.0

    def close(self) -> None:
        """Let the work clean up, if it has begun."""
        if self.turns is not None:
            self.turns.close()


class Scheduler:
    """Admits requests up to a limit and runs them on one engine."""

    def __init__(
        self,
        engine: Engine[Any],
        *,
        max_queued: int,
        max_active: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """At most `max_queued` requests wait while `max_active` take turns."""
        self._engine = engine
        self._max_queued = max_queued
        self._max_active = max_active
        self._clock = clock
        self._rate = ServiceRate()
        self._changed = threading.Condition()
        self._queue: deque[_Job[Any]] = deque()
        self._active: list[_Job[Any]] = []
        self._draining = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the engine's thread runs."""
        return self._thread.is_alive()

    @property
    def queued(self) -> int:
        """Requests that wait for their first turn."""
        return len(self._queue)

    @property
    def pending(self) -> int:
        """Requests admitted and not finished."""
        with self._changed:  # a request is in neither while it goes from one to the other
            return len(self._queue) + len(self._active)

    async def run(self, work: Work[T], *, seconds: float, single_step: bool = False) -> T:
        """Run the work to its end, within `seconds` from now; `single_step` work never yields.

        Raises Overloaded, Draining, DeadlineExceeded, or what the work raises. Cancelling ends the work.
        """
        job = _Job(work, deadline=self._clock() + seconds, single_step=single_step)
        with self._changed:
            if self._draining:
                raise Draining("Send the request again: another replica will take it.")
            if len(self._queue) >= self._max_queued:
                wait = self._rate.retry_after(self.pending)
                raise Overloaded(
                    f"{len(self._queue)} requests are waiting; try again in {wait} s.",  # noqa: EM102
                    headers={"Retry-After": str(wait)},
                )
            self._queue.append(job)
            self._changed.notify()
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            with self._changed, suppress(ValueError):  # it has had its first turn
                self._queue.remove(job)
            raise

    async def drain(self, *, seconds: float) -> bool:
        """Admit nothing more and wait for what was admitted; returns whether all of it ended within `seconds`."""
        with self._changed:
            self._draining = True
        until = self._clock() + seconds
        while self.pending and self._clock() < until:  # noqa: ASYNC110 - the count is another thread's
            await asyncio.sleep(0.02)
        return not self.pending

    def stop(self) -> None:
        """End the thread after the step it is in; what was admitted is cancelled."""
        with self._changed:
            self._draining = self._stopped = True
            self._changed.notify()
        self._thread.join()
        for job in [*self._active, *self._queue]:
            job.future.cancel()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._queue or self._active)
                if self._stopped:
                    return
                self._activate()
            for job in list(self._active):
                if self._finished(job):
                    with self._changed:
                        self._active.remove(job)

    def _activate(self) -> None:
        """Move from the queue, in order, what may take turns now or has run out of time."""
        turns = sum(not job.single_step for job in self._active)
        now = self._clock()
        for job in list(self._queue):
            if not (job.single_step or now > job.deadline):
                if turns >= self._max_active:
                    continue
                turns += 1
            self._queue.remove(job)
            self._active.append(job)

    def _finished(self, job: _Job[Any]) -> bool:
        """Give the job one turn; returns whether it was its last."""
        started = self._clock()
        try:
            if job.future.cancelled():
                job.close()
                return True
            if started > job.deadline:
                raise DeadlineExceeded("The service is too busy for this deadline; try again later.")
            job.turns = job.turns or job.work(self._engine)
            next(job.turns)
        except StopIteration as end:
            self._rate.observe(job.seconds + self._clock() - started)
            with suppress(InvalidStateError):  # the client left during the last turn
                job.future.set_result(end.value)
            return True
        except BaseException as error:  # noqa: BLE001 - whatever a request raises must not end the thread
            job.close()
            with suppress(InvalidStateError):
                job.future.set_exception(error)
            return True
        job.seconds += self._clock() - started
        return False
