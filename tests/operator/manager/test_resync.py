"""When resources are reconciled without an event. The cluster is a fake."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mcq_operator.api import SolverKey
from mcq_operator.api.kinds import HTTP_ROUTE, SERVICE, Kind
from mcq_operator.client import UnavailableError
from mcq_operator.manager import resync

KNOWN = SolverKey("team", "known")


class Cluster:
    """One with a single solver; listing it fails `failing` times."""

    def __init__(self, *, failing: int = 0, missing: set[Kind] | None = None) -> None:
        self.failing = failing
        self.missing = missing or set()
        self.absent = frozenset[Kind]()
        self.news = [True]

    async def discover(self) -> bool:
        return self.news.pop() if self.news else False

    def unlisted(self) -> set[Kind]:
        return set(self.missing)

    async def keys(self) -> list[SolverKey]:
        self.failing -= 1
        if self.failing >= 0:
            raise UnavailableError("429: storage is (re)initializing")
        return [KNOWN]


class Queue:
    """Notes what was added."""

    def __init__(self) -> None:
        self.added: list[SolverKey] = []
        self.runs = asyncio.Event()

    def add(self, key: SolverKey) -> None:
        self.added.append(key)

    async def run(self) -> None:
        self.runs.set()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "RETRY_SECONDS", 0.001)


@contextmanager
def running(created: Coroutine[Any, Any, None]) -> Iterator[None]:
    task = asyncio.get_running_loop().create_task(created)
    try:
        yield
    finally:
        task.cancel()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


async def test_every_resource_is_reconciled_at_intervals_after_a_failed_list() -> None:
    cluster, queue = Cluster(failing=2), Queue()
    with running(resync.resync(cluster, queue, every=0.01)):  # type: ignore[arg-type]
        await until(lambda: queue.added == [KNOWN, KNOWN])


async def test_every_resource_is_reconciled_when_a_crd_came() -> None:
    """No event would requeue the solvers that wait for it."""
    cluster, queue, changed = Cluster(failing=2), Queue(), asyncio.Event()
    with running(resync.discover(cluster, queue, changed.set, every=0.001)):  # type: ignore[arg-type]
        await until(lambda: KNOWN in queue.added)
    assert changed.is_set()
    assert queue.added == [KNOWN]


async def test_work_begins_when_the_watches_have_listed_everything() -> None:
    cluster, queue, listed = Cluster(missing={SERVICE, HTTP_ROUTE}), Queue(), asyncio.Event()
    with running(resync.start(cluster, queue, listed)):  # type: ignore[arg-type]
        for kind in SERVICE, HTTP_ROUTE:
            listed.set()
            await until(lambda: not listed.is_set())
            assert not queue.runs.is_set()
            cluster.missing.remove(kind)
        listed.set()
        await until(queue.runs.is_set)
    assert queue.added == [KNOWN]


async def test_a_failed_list_of_a_kind_with_a_crd_does_not_block_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A webhook may have to convert its objects, and fail."""
    monkeypatch.setattr(resync, "LIST_TIMEOUT_SECONDS", 0.01)
    cluster, queue = Cluster(missing={SERVICE, HTTP_ROUTE}), Queue()
    listed = asyncio.Event()
    with running(resync.start(cluster, queue, listed)):  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        assert not queue.runs.is_set()
        cluster.missing.remove(SERVICE)
        listed.set()
        await until(queue.runs.is_set)
    assert "starting without a list of HTTPRoute" in caplog.text
