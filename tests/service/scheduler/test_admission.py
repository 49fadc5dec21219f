"""Admission: the queue, its limits, Retry-After, the drain and requests of many parts."""

import asyncio
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from tests.service.fakes import until

from mcq_service.scheduler import Admission, Limits, QueueClosed, QueueFull, RequestPart, Slot
from mcq_service.scheduler.admission import MAX_ACTIVE_PARTS
from mcq_service.scheduler.service_rate import ServiceRate


class Clock:
    """A clock that tests advance, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Text:
    started_at: float | None = None


def admission(clock: Clock | None = None, **limits: int) -> Admission:
    bounds = {"queued_requests": 4, "queued_tokens": 1000, "active_tokens": 1000, "writers": 2, **limits}
    return Admission(Limits(**bounds, deadline_seconds=60), clock=clock or Clock())


def has_turn(slot: Slot) -> bool:
    return slot.granted.done()


async def test_an_idle_service_admits_at_once() -> None:
    """A request has its turn at once, and counts as queued until its first computation."""
    queue, text = admission(), Text()
    with queue.admit(10, writes=False) as slot:
        await asyncio.wait_for(slot.turn(), 1)
        slot.watch(text)
        assert (queue.queued, queue.pending) == (1, 1)
        text.started_at = 1.0
        assert (queue.queued, queue.pending) == (0, 1)
    assert queue.pending == 0


async def test_too_many_requests_are_refused_with_a_retry_after() -> None:
    """Requests with a started computation do not count."""
    queue = admission(queued_requests=2)
    with queue.admit(1, writes=False) as first, queue.admit(1, writes=False):
        with pytest.raises(QueueFull) as refused, queue.admit(1, writes=False):
            pass
        assert refused.value.retry_after >= 1
        first.watch(Text(started_at=1.0))
        with queue.admit(1, writes=False):
            assert queue.queued == 2


async def test_too_many_tokens_are_refused_but_never_a_single_long_request() -> None:
    """A request above the limit is accepted if no other waits."""
    queue = admission(queued_tokens=100)
    with (
        queue.admit(500, writes=False),
        pytest.raises(QueueFull, match="500 tokens"),
        queue.admit(1, writes=False),
    ):
        pass
    with ExitStack() as stack:
        for tokens in (60, 40):
            stack.enter_context(queue.admit(tokens, writes=False))
        with pytest.raises(QueueFull), queue.admit(1, writes=False):
            pass


async def test_writers_take_turns_and_answers_pass_them() -> None:
    """An answer never waits for another's reasoning; writers are first in, first out."""
    queue = admission(writers=1)
    stack = ExitStack()
    with queue.admit(1, writes=True) as first:
        second = stack.enter_context(queue.admit(1, writes=True))
        third = stack.enter_context(queue.admit(1, writes=True))
        with queue.admit(1, writes=False) as answer:
            assert [has_turn(slot) for slot in (first, second, third, answer)] == [True, False, False, True]
    assert [has_turn(slot) for slot in (second, third)] == [True, False]
    stack.close()
    assert queue.pending == 0


async def test_a_long_text_is_not_starved_by_short_ones() -> None:
    """A request that waits for memory is next, even if another would fit."""
    queue = admission(active_tokens=100)
    with ExitStack() as stack:
        with queue.admit(60, writes=False):
            long, short = (stack.enter_context(queue.admit(tokens, writes=False)) for tokens in (80, 10))
            assert [has_turn(long), has_turn(short)] == [False, False]
        assert [has_turn(long), has_turn(short)] == [True, True]


async def test_a_request_that_leaves_the_queue_frees_its_place() -> None:
    """This includes a request that never had its turn."""
    queue = admission(writers=1, queued_requests=2)
    with queue.admit(1, writes=True) as first:
        first.watch(Text(started_at=1.0))

        async def waiting() -> None:
            with queue.admit(1, writes=True) as slot:
                await slot.turn()

        tasks = [asyncio.create_task(waiting()) for _ in range(2)]
        await asyncio.sleep(0)
        assert queue.queued == 2
        tasks[0].cancel()
        await asyncio.sleep(0.01)
        assert queue.queued == 1
    await asyncio.wait_for(tasks[1], 1)
    assert queue.pending == 0


async def test_drain_refuses_and_waits_for_the_admitted() -> None:
    """Waiting requests finish as well."""
    queue = admission()
    with queue.admit(1, writes=False):
        draining = asyncio.create_task(queue.drain(seconds=5))
        await asyncio.sleep(0)
        with pytest.raises(QueueClosed), queue.admit(1, writes=False):
            pass
        assert not draining.done()
    assert await draining


async def test_drain_gives_up_after_its_time() -> None:
    """It returns whether all of them ended."""
    queue = admission()
    with queue.admit(1, writes=False):
        assert not await queue.drain(seconds=0.01)


async def finish(queue: Admission, clock: Clock, count: int, *, seconds: float, writes: bool = False) -> None:
    """Finish `count` requests, one every `seconds`, while the next one waits."""
    last = ExitStack()
    for _ in range(count + 1):
        following = ExitStack()
        slot = following.enter_context(queue.admit(1, writes=writes))
        clock.now += seconds
        last.close()
        slot.watch(Text(started_at=clock.now))
        last = following
    last.close()


async def test_retry_after_follows_the_measured_rate() -> None:
    """It is half the queue's time; only finished requests count, and only time in which others wait."""
    clock = Clock()
    queue = admission(clock, queued_requests=2)
    await finish(queue, clock, 100, seconds=8)
    clock.now += 1000  # no requests
    with queue.admit(1, writes=False):
        clock.now += 500  # one alone
    with suppress(ValueError), queue.admit(1, writes=False):
        raise ValueError("failed")
    with (
        queue.admit(1, writes=False), queue.admit(1, writes=False),
        pytest.raises(QueueFull) as refused, queue.admit(1, writes=False),
    ):  # fmt: skip
        pass
    assert refused.value.retry_after == 8


async def test_a_request_that_would_wait_for_half_of_its_deadline_is_refused() -> None:
    """Otherwise it would end with 504, after a computation for a client that has left."""
    clock = Clock()
    queue = admission(clock, queued_requests=64)
    await finish(queue, clock, 5, seconds=12, writes=True)
    with ExitStack() as stack:
        for _ in range(3):  # 12 s each: the third waits for 24 s
            stack.enter_context(queue.admit(1, writes=True))
        with pytest.raises(QueueFull) as refused, queue.admit(1, writes=True):
            pass
        assert refused.value.retry_after == 18
        with pytest.raises(QueueFull), queue.admit_parts(2):
            pass
        with queue.admit(1, writes=False):  # it passes those that write
            pass


async def test_before_a_request_is_read_it_is_refused_only_if_none_could_be_admitted() -> None:
    """A request that writes nothing passes those that write."""
    clock = Clock()
    queue = admission(clock, queued_requests=4)
    await finish(queue, clock, 5, seconds=20, writes=True)
    with queue.admit(1, writes=True), queue.admit(1, writes=True):
        queue.refuse_if_full()
        with queue.admit(1, writes=False), queue.admit(1, writes=False), pytest.raises(QueueFull):
            queue.refuse_if_full()


async def test_an_idle_replica_takes_a_request_however_slow_it_is() -> None:
    """The estimate may be an hour old."""
    clock = Clock()
    queue = admission(clock)
    await finish(queue, clock, 5, seconds=500)
    with queue.admit(1, writes=False):
        pass


def test_retry_after_is_at_least_a_second_and_at_most_a_minute() -> None:
    """It is a whole number of seconds."""
    rate = ServiceRate(Clock())
    assert [rate.retry_after(waiting) for waiting in (0, 8, 1000)] == [1, 4, 60]


async def test_a_request_of_many_parts_counts_as_one() -> None:
    """One part at a time is in the queue with its tokens, and the next part is behind later requests."""
    queue = admission(queued_requests=3, writers=1)
    order: list[str] = []
    go = asyncio.Event()

    async def work(name: str, part: RequestPart | None = None) -> str:
        with queue.admit(10, writes=True, part=part) as slot:
            await slot.turn()
            slot.watch(Text(started_at=1.0))
            order.append(name)
            await go.wait()
        return name

    async def batch(name: str) -> list[str]:
        with queue.admit_parts(4) as parts:
            return await parts.gather([partial(work, f"{name}{number}") for number in range(4)])

    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(batch("a")), asyncio.create_task(batch("b"))]
    await until(lambda: queue.pending == 3)
    tasks.append(asyncio.create_task(work("single")))
    await until(lambda: queue.pending == 4)
    with pytest.raises(QueueFull, match="3 requests with 30 tokens"), queue.admit(1, writes=False):
        pass
    with pytest.raises(QueueFull), queue.admit_parts(2):
        pass
    go.set()
    assert await asyncio.gather(*tasks) == [["a0", "a1", "a2", "a3"], ["b0", "b1", "b2", "b3"], "single"]
    assert order == ["a0", "b0", "a1", "single", "b1", "a2", "b2", "a3", "b3"]
    with queue.admit_parts(1), queue.admit_parts(1), queue.admit_parts(1):
        pass


async def test_a_part_that_fails_before_its_turn_lets_the_next_one_start() -> None:
    """An example is a question that does not fit."""
    queue = admission()

    async def fail(part: RequestPart) -> str:
        return "failed"

    async def work(part: RequestPart) -> str:
        with queue.admit(10, writes=False, part=part) as slot:
            await slot.turn()
        return "worked"

    with queue.admit_parts(3) as parts:
        assert await parts.gather([fail, work, fail]) == ["failed", "worked", "failed"]


async def test_the_first_failure_of_a_part_cancels_the_others() -> None:
    """No place stays taken."""
    queue = admission(writers=1)

    async def work(number: int, part: RequestPart) -> None:
        with queue.admit(10, writes=True, part=part) as slot:
            await slot.turn()
            if number == 1:
                raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), queue.admit_parts(5) as parts:
        await parts.gather([partial(work, number) for number in range(5)])
    assert queue.pending == 0
    assert queue._many_parts == set()


async def test_few_parts_are_active() -> None:
    """The limit covers all requests, so none waits long in the engine; requests without parts are not held up."""
    queue = admission(active_tokens=100_000)
    go = asyncio.Event()
    running_parts = most = 0

    async def work(part: RequestPart) -> None:
        nonlocal running_parts, most
        with queue.admit(1, writes=False, part=part) as slot:
            await slot.turn()
            running_parts += 1
            most = max(most, running_parts)
            await go.wait()
            running_parts -= 1

    async def batch() -> None:
        with queue.admit_parts(100) as parts:
            await parts.gather([work] * 100)

    running = [asyncio.create_task(batch()) for _ in range(2)]
    # Each batch has one part that waits.
    await until(lambda: queue.pending == MAX_ACTIVE_PARTS + len(running))
    assert running_parts == MAX_ACTIVE_PARTS
    with queue.admit(1, writes=False) as slot:
        assert has_turn(slot)
    go.set()
    await asyncio.gather(*running)
    assert most == MAX_ACTIVE_PARTS


async def test_what_several_parts_keep_counts_once() -> None:
    """Another opening does not fit beside it; one that is too large for all of the memory has its turn alone."""
    queue = admission(queued_requests=10, queued_tokens=100_000)
    shared, other, large = object(), object(), object()
    with ExitStack() as stack:

        def admit(opening: object, size: int = 600) -> Slot:
            return stack.enter_context(queue.admit(100, writes=False, openings={opening: size}))

        slots = [admit(shared) for _ in range(5)]
        assert [has_turn(each) for each in slots] == [True] * 4 + [False]
        with pytest.raises(QueueFull), queue.admit(100_000, writes=False):
            pass
    with ExitStack() as stack:
        slots = [admit(shared), admit(other), admit(large, 5000)]
        assert [has_turn(each) for each in slots] == [True, False, False]
    with ExitStack() as stack:
        assert has_turn(admit(large, 5000))
