import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from tests.service.fakes import until

from mcq_service.problems import DeadlineExceeded, Draining, Overloaded
from mcq_service.scheduling import Scheduler, Turns
from mcq_service.scheduling.admission import ServiceRate


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Script:
    """Work that takes turns and writes down what happens to it; each turn waits for `gate`."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()

    def work(self, name: str, turns: int = 1, error: Exception | None = None) -> Callable[[Any], Turns[str]]:
        def steps(_: object) -> Iterator[None]:
            try:
                for turn in range(turns):
                    self.started.set()
                    assert self.gate.wait(10)
                    self.log.append(f"{name}{turn}")
                    yield
                if error:
                    raise error
            except GeneratorExit:
                self.log.append(f"{name} closed")
                raise

        def result(engine: object) -> Turns[str]:
            yield from steps(engine)
            return name

        return result

    async def running(self) -> None:
        """Return once some work is in a turn."""
        assert await asyncio.to_thread(self.started.wait, 10)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def scheduler(script: Script, clock: Clock) -> AsyncIterator[Scheduler]:
    engine: Any = None
    made = Scheduler(engine, max_queued=2, max_active=2, clock=clock)
    yield made
    script.gate.set()
    made.stop()


def start(scheduler: Scheduler, work: Callable[[Any], Turns[str]], seconds: float = 60) -> asyncio.Task[str]:
    return asyncio.create_task(scheduler.run(work, seconds=seconds))


async def blocked(scheduler: Scheduler, script: Script, count: int) -> list[asyncio.Task[str]]:
    """Start `count` works, all of which wait for the gate or a place."""
    script.gate.clear()
    tasks = [start(scheduler, script.work("f"))]
    await script.running()
    tasks += [start(scheduler, script.work("f")) for _ in range(count - 1)]
    await until(lambda: scheduler.pending == count)
    return tasks


async def test_a_works_result_comes_back(scheduler: Scheduler, script: Script) -> None:
    """The generator's value is the request's."""
    assert await scheduler.run(script.work("a", 3), seconds=60) == "a"


async def test_a_long_work_does_not_block_a_short_one(scheduler: Scheduler, script: Script) -> None:
    """Two works take turns, so the short one ends long before the long one."""
    script.gate.clear()
    long = start(scheduler, script.work("long", 500))
    await script.running()
    short = start(scheduler, script.work("short", 2))
    await until(lambda: scheduler.pending == 2)
    script.gate.set()
    assert await short == "short"
    assert script.log.index("short1") < 10
    assert await long == "long"


async def test_a_third_work_waits_for_a_place(scheduler: Scheduler, script: Script) -> None:
    """No more than two take turns; the queue is first in, first out."""
    script.gate.clear()
    tasks = [start(scheduler, script.work("a", 3))]
    await script.running()
    tasks += [start(scheduler, script.work(name, 3)) for name in "bc"]
    await until(lambda: scheduler.queued == 2)
    script.gate.set()
    assert await asyncio.gather(*tasks) == ["a", "b", "c"]
    assert script.log.index("c0") > script.log.index("a2")


async def test_a_full_queue_refuses_and_says_when_to_try_again(scheduler: Scheduler, script: Script) -> None:
    """429 has Retry-After in whole seconds; those that wait are still served."""
    tasks = await blocked(scheduler, script, 1)
    tasks += [start(scheduler, script.work(name)) for name in "bc"]
    await until(lambda: scheduler.queued == 2)
    with pytest.raises(Overloaded) as refused:
        await scheduler.run(script.work("d"), seconds=60)
    assert int(refused.value.headers["Retry-After"]) >= 1
    script.gate.set()
    assert await asyncio.gather(*tasks) == ["f", "b", "c"]


async def test_a_client_that_left_the_queue_frees_its_place(scheduler: Scheduler, script: Script) -> None:
    """A cancelled request that still waits does not count against the queue."""
    tasks = await blocked(scheduler, script, 1)
    tasks += [start(scheduler, script.work(name)) for name in "bc"]
    await until(lambda: scheduler.queued == 2)
    tasks.pop().cancel()
    await asyncio.sleep(0)
    tasks.append(start(scheduler, script.work("d")))
    await asyncio.sleep(0)
    script.gate.set()
    assert await asyncio.gather(*tasks) == ["f", "b", "d"]
    assert "c0" not in script.log


async def test_an_answer_does_not_wait_for_others_reasoning(scheduler: Scheduler, script: Script) -> None:
    """Work of a single step does not count among those that take turns."""
    script.gate.clear()
    long = [start(scheduler, script.work("a", 50))]
    await script.running()
    long.append(start(scheduler, script.work("b", 50)))
    await until(lambda: scheduler.pending == 2)
    short = asyncio.create_task(scheduler.run(script.work("short"), seconds=60, single_step=True))
    await until(lambda: scheduler.pending == 3)
    script.gate.set()
    assert await short == "short"
    await asyncio.gather(*long)
    assert script.log.index("short0") < script.log.index("b10")


async def test_a_deadline_ends_the_work(scheduler: Scheduler, script: Script, clock: Clock) -> None:
    """The work is closed at its next turn after the deadline."""
    script.gate.clear()
    task = start(scheduler, script.work("a", 3), seconds=5)
    await script.running()
    clock.now = 6
    script.gate.set()
    with pytest.raises(DeadlineExceeded):
        await task
    assert script.log == ["a0", "a closed"]


async def test_a_request_that_waited_too_long_is_not_begun(
    scheduler: Scheduler, script: Script, clock: Clock
) -> None:
    """A deadline that passed in the queue costs no computation."""
    script.gate.clear()
    first = start(scheduler, script.work("a"))
    await script.running()
    late = start(scheduler, script.work("late"), seconds=5)
    await until(lambda: scheduler.pending == 2)
    clock.now = 6
    script.gate.set()
    with pytest.raises(DeadlineExceeded):
        await late
    assert await first == "a"
    assert "late0" not in script.log


async def test_cancelling_closes_the_work_within_a_turn(scheduler: Scheduler, script: Script) -> None:
    """A client that leaves costs at most the step that is under way."""
    script.gate.clear()
    task = start(scheduler, script.work("a", 100))
    await script.running()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    script.gate.set()
    await until(lambda: scheduler.pending == 0)
    assert script.log == ["a0", "a closed"]


async def test_a_client_may_leave_during_the_last_turn(scheduler: Scheduler, script: Script) -> None:
    """A result nobody waits for does not harm the next request."""
    script.gate.clear()
    task = start(scheduler, lambda _: _last_turn(script))
    await script.running()
    task.cancel()
    await asyncio.sleep(0)
    script.gate.set()
    assert await scheduler.run(script.work("b"), seconds=60) == "b"


def _last_turn(script: Script) -> Turns[str]:
    script.started.set()
    assert script.gate.wait(10)
    return "nobody's"
    yield


async def test_drain_refuses_new_work_and_finishes_what_was_admitted(
    scheduler: Scheduler, script: Script
) -> None:
    """Also what waits in the queue is finished."""
    tasks = await blocked(scheduler, script, 1)
    tasks += [start(scheduler, script.work(name, 5)) for name in "bc"]
    await until(lambda: scheduler.queued == 2)
    draining = asyncio.create_task(scheduler.drain(seconds=60))
    await asyncio.sleep(0)
    with pytest.raises(Draining):
        await scheduler.run(script.work("d"), seconds=60)
    assert not draining.done()
    script.gate.set()
    assert await draining
    assert await asyncio.gather(*tasks) == ["f", "b", "c"]


async def test_drain_gives_up_after_its_time(scheduler: Scheduler, script: Script, clock: Clock) -> None:
    """Work that does not end is reported."""
    [task] = await blocked(scheduler, script, 1)
    draining = asyncio.create_task(scheduler.drain(seconds=5))
    await asyncio.sleep(0)
    clock.now = 6
    assert not await draining
    script.gate.set()
    await task


@pytest.mark.parametrize("turns", [0, 2])
async def test_one_requests_error_is_its_own(scheduler: Scheduler, script: Script, turns: int) -> None:
    """It reaches its client, and the next request is served."""
    with pytest.raises(ValueError, match="broken"):
        await scheduler.run(script.work("a", turns, error=ValueError("broken")), seconds=60)
    assert scheduler.alive
    assert await scheduler.run(script.work("b"), seconds=60) == "b"


async def test_work_that_cannot_even_begin_does_not_end_the_thread(
    scheduler: Scheduler, script: Script
) -> None:
    """An error before the first turn is the request's as well."""

    def broken(_: object) -> Turns[str]:
        raise ValueError("no generator")

    with pytest.raises(ValueError, match="no generator"):
        await scheduler.run(broken, seconds=60)
    assert await scheduler.run(script.work("b"), seconds=60) == "b"


async def test_stop_ends_the_thread_and_cancels_what_is_left(scheduler: Scheduler, script: Script) -> None:
    """Nobody waits for ever."""
    tasks = await blocked(scheduler, script, 1)
    tasks.append(start(scheduler, script.work("b", 1000)))
    await until(lambda: scheduler.pending == 2)
    stopping = asyncio.create_task(asyncio.to_thread(scheduler.stop))
    await asyncio.sleep(0.01)
    script.gate.set()
    await stopping
    assert not scheduler.alive
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[1], asyncio.CancelledError)
    with pytest.raises(Draining):
        await scheduler.run(script.work("late"), seconds=60)


def test_retry_after_follows_the_service_rate() -> None:
    """Half the queue's time, at least a second and at most a minute."""
    rate = ServiceRate(initial=1)
    assert [rate.retry_after(waiting) for waiting in (0, 8, 1000)] == [1, 4, 60]
    for _ in range(100):
        rate.observe(3)
    assert rate.retry_after(8) == 12
