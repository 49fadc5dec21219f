import asyncio
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest

from mcq_service.problems import Draining, Overloaded
from mcq_service.scheduling import Admission, Limits, Slot
from mcq_service.scheduling.admission import ServiceRate


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Text:
    begun: float | None = None


def admission(clock: Clock | None = None, **limits: int) -> Admission:
    bounds = {"queued_requests": 4, "queued_tokens": 1000, "active_tokens": 1000, "writers": 2, **limits}
    return Admission(Limits(**bounds), clock=clock or Clock())


def has_turn(slot: Slot) -> bool:
    return slot._request.turn.done()


async def test_an_idle_service_admits_at_once() -> None:
    """A request has its turn, and counts as queued until its first computation."""
    made, text = admission(), Text()
    with made.admit(10, writes=False) as slot:
        await asyncio.wait_for(slot.turn(), 1)
        slot.watch(text)
        assert (made.queued, made.pending) == (1, 1)
        text.begun = 1.0
        assert (made.queued, made.pending) == (0, 1)
    assert made.pending == 0


async def test_too_many_requests_are_refused_with_a_time_to_come_again() -> None:
    """Those whose computation has begun do not count."""
    made = admission(queued_requests=2)
    with made.admit(1, writes=False) as first, made.admit(1, writes=False):
        with pytest.raises(Overloaded) as refused, made.admit(1, writes=False):
            pass
        assert int(refused.value.headers["Retry-After"]) >= 1
        first.watch(Text(begun=1.0))
        with made.admit(1, writes=False):
            assert made.queued == 2


async def test_too_many_tokens_are_refused_but_never_a_single_long_request() -> None:
    """What is larger than the bound is taken when nobody else waits."""
    made = admission(queued_tokens=100)
    with (
        made.admit(500, writes=False),
        pytest.raises(Overloaded, match="500 tokens"),
        made.admit(1, writes=False),
    ):
        pass
    with ExitStack() as stack:
        for tokens in (60, 40):
            stack.enter_context(made.admit(tokens, writes=False))
        with pytest.raises(Overloaded), made.admit(1, writes=False):
            pass


async def test_writers_take_turns_and_answers_pass_them() -> None:
    """An answer never waits for another's reasoning; writers are first in, first out."""
    made = admission(writers=1)
    stack = ExitStack()
    with made.admit(1, writes=True) as first:
        second = stack.enter_context(made.admit(1, writes=True))
        third = stack.enter_context(made.admit(1, writes=True))
        with made.admit(1, writes=False) as answer:
            assert [has_turn(slot) for slot in (first, second, third, answer)] == [True, False, False, True]
    assert [has_turn(slot) for slot in (second, third)] == [True, False]
    stack.close()
    assert made.pending == 0


async def test_a_long_text_is_not_starved_by_short_ones() -> None:
    """Who waits for memory is next, whoever else would fit."""
    made = admission(active_tokens=100)
    with ExitStack() as stack:
        with made.admit(60, writes=False):
            long, short = (stack.enter_context(made.admit(tokens, writes=False)) for tokens in (80, 10))
            assert [has_turn(long), has_turn(short)] == [False, False]
        assert [has_turn(long), has_turn(short)] == [True, True]


async def test_a_request_that_leaves_the_queue_frees_its_place() -> None:
    """Also one that never had its turn."""
    made = admission(writers=1, queued_requests=2)
    with made.admit(1, writes=True) as first:
        first.watch(Text(begun=1.0))

        async def waiting() -> None:
            with made.admit(1, writes=True) as slot:
                await slot.turn()

        tasks = [asyncio.create_task(waiting()) for _ in range(2)]
        await asyncio.sleep(0)
        assert made.queued == 2
        tasks[0].cancel()
        await asyncio.sleep(0.01)
        assert made.queued == 1
    await asyncio.wait_for(tasks[1], 1)
    assert made.pending == 0


async def test_drain_refuses_and_waits_for_what_was_admitted() -> None:
    """Whatever waits is finished as well."""
    made = admission()
    with made.admit(1, writes=False):
        draining = asyncio.create_task(made.drain(seconds=5))
        await asyncio.sleep(0)
        with pytest.raises(Draining), made.admit(1, writes=False):
            pass
        assert not draining.done()
    assert await draining


async def test_drain_gives_up_after_its_time() -> None:
    """What does not end is reported."""
    made = admission()
    with made.admit(1, writes=False):
        assert not await made.drain(seconds=0.01)


async def test_retry_after_follows_the_measured_rate() -> None:
    """Half the queue's time; only what was served counts, and only time in which there was work."""
    clock = Clock()
    made = admission(clock, queued_requests=1)
    for _ in range(100):
        with made.admit(1, writes=False):
            clock.now += 8
        clock.now += 1000  # nobody asks
    with suppress(ValueError), made.admit(1, writes=False):
        clock.now += 500
        raise ValueError("failed")
    with made.admit(1, writes=False), pytest.raises(Overloaded) as refused, made.admit(1, writes=False):
        pass
    assert refused.value.headers["Retry-After"] == "4"


def test_retry_after_is_at_least_a_second_and_at_most_a_minute() -> None:
    """Whole seconds."""
    rate = ServiceRate(Clock(), initial=1)
    assert [rate.retry_after(waiting) for waiting in (0, 8, 1000)] == [1, 4, 60]
