"""Looks at everything: soon after watches began, and then once in a while. The cluster is a fake."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mcq_operator import rounds
from mcq_operator.models import SolverKey

MISSED = SolverKey("team", "missed")
KNOWN = SolverKey("team", "known")


class Cluster:
    """In which something has changed at each look."""

    looks = 0

    async def refresh(self) -> set[SolverKey]:
        self.looks += 1
        return {MISSED}

    async def keys(self) -> list[SolverKey]:
        return [KNOWN]


class Queue:
    """Notes what was added."""

    def __init__(self) -> None:
        self.added: list[SolverKey] = []

    def add(self, key: SolverKey) -> None:
        self.added.append(key)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "SOON_SECONDS", (0.001, 0.002))


@contextmanager
def resyncing(cluster: Any, queue: Any, anew: asyncio.Event, *, every: float) -> Iterator[None]:
    task = asyncio.get_running_loop().create_task(rounds.resync(cluster, queue, anew, every=every))
    try:
        yield
    finally:
        task.cancel()


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
