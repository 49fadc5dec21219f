"""Looks at everything: soon after watches began, and then once in a while. The cluster is a fake."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from mcq_operator import rounds
from mcq_operator.kube import UnavailableError
from mcq_operator.models import SolverKey

MISSED = SolverKey("team", "missed")
KNOWN = SolverKey("team", "known")


class Cluster:
    """In which something has changed at each look that succeeds; the first `failing` of them don't, half-way."""

    def __init__(self, *, failing: int = 0) -> None:
        self.looks = 0
        self.failing = failing
        self.absent = frozenset[Any]()
        self.news = [True]

    async def discover(self) -> bool:
        return self.news.pop() if self.news else False

    async def refresh(self, changed: Callable[[SolverKey], None]) -> None:
        self.looks += 1
        changed(MISSED)
        if self.looks <= self.failing:
            raise UnavailableError("429: storage is (re)initializing")

    async def keys(self) -> list[SolverKey]:
        return [KNOWN]


class Queue:
    """Notes what was added."""

    def __init__(self) -> None:
        self.added: list[SolverKey] = []
        self.runs = False

    def add(self, key: SolverKey) -> None:
        self.added.append(key)

    async def run(self) -> None:
        self.runs = True


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "SOON_SECONDS", (0.001, 0.002))
    monkeypatch.setattr(rounds, "RETRY_SECONDS", 0.001)


@contextmanager
def running(made: Coroutine[Any, Any, None]) -> Iterator[None]:
    task = asyncio.get_running_loop().create_task(made)
    try:
        yield
    finally:
        task.cancel()


def resyncing(cluster: Any, queue: Any, anew: asyncio.Event, *, every: float) -> AbstractContextManager[None]:
    return running(rounds.resync(cluster, queue, anew, every=every))


async def looked(cluster: Cluster, count: int) -> None:
    async with asyncio.timeout(10):
        while cluster.looks < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_what_was_missed_while_watches_began_is_found_soon() -> None:
    """And every solver is looked at only when its time has come."""
    cluster, queue = Cluster(), Queue()
    with resyncing(cluster, queue, asyncio.Event(), every=3600):
        await looked(cluster, 2)
    assert queue.added == [MISSED, MISSED]


async def test_watches_that_begin_anew_are_looked_after_anew() -> None:
    cluster, queue, anew = Cluster(), Queue(), asyncio.Event()
    with resyncing(cluster, queue, anew, every=3600):
        await looked(cluster, 2)
        anew.set()
        await looked(cluster, 4)
    assert not anew.is_set()


async def test_every_solver_is_looked_at_once_in_a_while() -> None:
    cluster, queue = Cluster(), Queue()
    with resyncing(cluster, queue, asyncio.Event(), every=0.01):
        await looked(cluster, 4)
    assert queue.added[:4] == [MISSED, MISSED, MISSED, KNOWN]


async def test_every_solver_is_looked_at_when_a_crd_came_though_the_look_failed_at_first() -> None:
    """A kind that has just come is not listed at once, and no event would tell of the solvers that wait for it."""
    cluster, queue, told = Cluster(failing=2), Queue(), asyncio.Event()
    with running(rounds.discover(cluster, queue, told.set, every=0.001)):  # type: ignore[arg-type]
        await looked(cluster, 3)
        async with asyncio.timeout(10):
            while KNOWN not in queue.added:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    assert told.is_set()
    assert cluster.looks == 3


async def test_what_a_look_found_is_not_lost_when_it_fails_half_way() -> None:
    cluster, queue = Cluster(failing=1), Queue()
    with resyncing(cluster, queue, asyncio.Event(), every=0.01):
        await looked(cluster, 1)
        assert queue.added == [MISSED]
        await looked(cluster, 4)
    assert KNOWN not in queue.added[:4]


async def test_work_begins_when_everything_was_looked_at() -> None:
    cluster, queue = Cluster(failing=2), Queue()
    await rounds.work(cluster, queue)  # type: ignore[arg-type]
    assert queue.runs
    assert queue.added == [MISSED, MISSED, MISSED, KNOWN]
