"""The work queue: coalescing, one worker a key, back-off. The tests advance the clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from mcq_operator.client import UnavailableError
from mcq_operator.manager.workqueue import LONGEST_RETRY_SECONDS, PRIORITY_IN_A_ROW, WorkQueue, backoff


@dataclass
class Call:
    at: float
    call: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True

    def when(self) -> float:
        return self.at


@dataclass
class Time:
    """A clock that the test advances."""

    now: float = 0.0
    calls: list[Call] = field(default_factory=list)

    def call_later(self, delay: float, call: Callable[[], None], /) -> Call:
        timer = Call(self.now + delay, call)
        self.calls.append(timer)
        return timer

    def pending(self) -> list[float]:
        return sorted(call.at for call in self.calls if not call.cancelled and call.at > self.now)

    async def advance(self, seconds: float) -> None:
        self.now += seconds
        for call in [call for call in self.calls if call.at <= self.now]:
            self.calls.remove(call)
            if not call.cancelled:
                call.call()
        await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(
    work: Callable[[str], Awaitable[float | None]], time: Time | None = None, workers: int = 2
) -> AsyncIterator[WorkQueue[str]]:
    clock = time or Time()
    queue = WorkQueue(
        work, workers=workers, call_later=clock.call_later, random=lambda: 0.0, clock=lambda: clock.now
    )
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_many_events_of_one_key_cause_one_reconcile() -> None:
    handled: list[str] = []

    async def work(key: str) -> None:
        handled.append(key)

    async with running(work) as queue:
        for _ in range(100):
            queue.add("a")
        queue.add("b")
        await settle()
    assert handled == ["a", "b"]


async def test_one_worker_handles_a_key_and_events_meanwhile_cause_one_more_turn() -> None:
    turns = 0
    at_once = 0
    go = asyncio.Event()

    async def work(_: str) -> None:
        nonlocal turns, at_once
        turns += 1
        at_once += 1
        assert at_once == 1
        await go.wait()
        at_once -= 1

    async with running(work) as queue:
        queue.add("a")
        await settle()
        for _ in range(5):
            queue.add("a")
        await settle()
        assert turns == 1
        go.set()
        await settle()
    assert turns == 2


async def test_priority_keys_come_before_waiting_keys_in_their_own_order() -> None:
    handled: list[str] = []
    go = asyncio.Event()

    async def work(key: str) -> None:
        await go.wait()
        handled.append(key)

    async with running(work, workers=1) as queue:
        queue.add("running")
        await settle()
        for key in ("a", "b", "c"):
            queue.add(key)
        queue.add("b", priority=True)
        queue.add("d", priority=True)
        queue.add("b")
        queue.add("running", priority=True)
        go.set()
        await settle()
    assert handled == ["running", "b", "d", "running", "a", "c"]


async def test_constant_priority_keys_do_not_starve_the_others() -> None:
    """For example a child that another controller keeps changing."""
    handled: list[str] = []

    async def work(key: str) -> None:
        handled.append(key)
        if key == "fought over" and len(handled) < 10 * PRIORITY_IN_A_ROW:
            queue.add("fought over", priority=True)

    async with running(work, workers=1) as queue:
        queue.add("fought over", priority=True)
        queue.add("a")
        queue.add("b")
        for _ in range(50):
            await settle()
    assert (handled.index("a"), handled.index("b")) == (PRIORITY_IN_A_ROW, 2 * PRIORITY_IN_A_ROW + 1)
    assert handled.count("fought over") == len(handled) - 2


async def test_each_worker_handles_one_key_at_a_time() -> None:
    started: list[str] = []

    async def work(key: str) -> None:
        started.append(key)
        await asyncio.Event().wait()

    async with running(work, workers=2) as queue:
        for key in "abcd":
            queue.add(key)
        await settle()
        assert started == ["a", "b"]


async def test_failed_work_is_retried_with_growing_delays_that_success_resets() -> None:
    time = Time()
    fails = 3
    waits: list[float] = []

    async def work(_: str) -> None:
        nonlocal fails
        if fails:
            fails -= 1
            message = "not now"
            raise RuntimeError(message)

    async with running(work, time) as queue:
        queue.add("a")
        await settle()
        while time.pending():
            waits.append(time.pending()[0] - time.now)
            await time.advance(waits[-1])
        assert waits == [0.5, 1.0, 2.0]
        fails = 1
        queue.add("a")
        await settle()
        assert time.pending() == [time.now + 0.5]


@pytest.mark.parametrize(
    ("error", "level", "traced"),
    [(UnavailableError("500: busy"), "WARNING", False), (KeyError("metadata"), "ERROR", True)],
)
async def test_only_an_unexpected_error_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture, error: Exception, level: str, traced: bool
) -> None:
    async def work(_: str) -> None:
        raise error

    async with running(work) as queue:
        queue.add("team/demo")
        await settle()
    (record,) = caplog.records
    assert record.levelname == level
    assert "team/demo failed 1 time(s)" in record.message
    assert ("Traceback" in caplog.text) == traced


async def test_a_failing_key_does_not_delay_the_others() -> None:
    handled: list[str] = []

    async def work(key: str) -> None:
        if key == "bad":
            message = "always"
            raise RuntimeError(message)
        handled.append(key)

    async with running(work, workers=1) as queue:
        queue.add("bad")
        queue.add("good")
        await settle()
    assert handled == ["good"]


async def test_work_may_requeue_its_key_later_and_an_earlier_event_replaces_that() -> None:
    time = Time()
    turns = 0

    async def work(_: str) -> float | None:
        nonlocal turns
        turns += 1
        return 10.0 if turns == 1 else None

    async with running(work, time) as queue:
        queue.add("a")
        await settle()
        assert time.pending() == [10.0]
        queue.add("a")
        await settle()
        assert turns == 2
        assert time.pending() == []


async def test_the_earliest_of_several_delays_counts() -> None:
    time = Time()
    turns: list[float] = []

    async def work(_: str) -> None:
        turns.append(time.now)

    async with running(work, time) as queue:
        queue.add_later("a", 10)
        queue.add_later("a", 3)
        queue.add_later("a", 7)
        for _ in range(12):
            await time.advance(1)
    assert turns == [3]


async def test_the_depth_is_the_number_of_waiting_keys() -> None:
    depths: list[int] = []

    async def work(_: str) -> None: ...

    queue = WorkQueue(
        work,
        workers=1,
        call_later=Time().call_later,
        random=lambda: 0.0,
        clock=lambda: 0.0,
        depth=depths.append,
    )
    queue.add("a")
    queue.add("b")
    queue.add("b")
    task = asyncio.create_task(queue.run())
    await settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert depths == [1, 2, 1, 0]


async def test_an_idle_queue_reports_zero_while_the_clock_runs() -> None:
    async def work(_: str) -> None:
        pass

    ticks = iter(range(9))
    queue = WorkQueue(
        work, workers=1, call_later=Time().call_later, random=lambda: 0.0, clock=lambda: next(ticks)
    )
    assert queue.longest() == 0


async def test_the_queue_reports_the_longest_running_work() -> None:
    """A long time shows a stuck operator."""
    done = asyncio.Event()

    async def work(_: str) -> None:
        await done.wait()

    time = Time()
    async with running(work, time) as queue:
        assert queue.longest() == 0
        queue.add("a")
        await settle()
        await time.advance(7)
        queue.add("b")
        await settle()
        await time.advance(5)
        assert queue.longest() == 12
        done.set()
        await settle()
        assert queue.longest() == 0


@pytest.mark.parametrize("failures", [1, 5, 20, 10_000])
def test_the_back_off_is_bounded_and_spread(failures: int) -> None:
    longest, shortest = backoff(failures, 0.0), backoff(failures, 1.0)
    assert longest <= LONGEST_RETRY_SECONDS
    assert shortest == longest / 2
