"""Resources are reconciled without an event, too. The cluster is a fake."""

import asyncio
from collections.abc import Collection, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.operator.support import eventually

from mcq_operator.api import SolverKey
from mcq_operator.api.kinds import HTTP_ROUTE, SERVICE, Kind
from mcq_operator.client import UnavailableError
from mcq_operator.manager import resync

KNOWN = SolverKey("team", "known")


class FakeCluster:
    """A cluster with one solver; its list fails `failing` times, and those of `refused` kinds in one namespace."""

    def __init__(
        self, *, failing: int = 0, missing: set[Kind] | None = None, refused: Collection[Kind] = ()
    ) -> None:
        self.failing = failing
        self.refused = refused
        self.missing = missing or set()
        self.absent = frozenset[Kind]()
        self.discoveries = [True]

    async def discover(self) -> bool:
        return self.discoveries.pop() if self.discoveries else False

    def unlisted(self) -> set[Kind]:
        return set(self.missing)

    async def versions(self, kind: Kind) -> dict[tuple[str, str], int]:
        if kind in self.refused:
            self.missing.remove(kind)
            return {}
        raise UnavailableError("503: no storage yet")

    async def keys(self) -> list[SolverKey]:
        self.failing -= 1
        if self.failing >= 0:
            raise UnavailableError("429: storage is (re)initializing")
        return [KNOWN]


class FakeQueue:
    """A queue that records the added keys."""

    def __init__(self) -> None:
        self.added: list[SolverKey] = []
        self.started = asyncio.Event()

    def add(self, key: SolverKey) -> None:
        self.added.append(key)

    async def run(self) -> None:
        self.started.set()


@pytest.fixture(autouse=True)
def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "RETRY_SECONDS", 0.001)


@contextmanager
def running(coroutine: Coroutine[Any, Any, None]) -> Iterator[None]:
    task = asyncio.get_running_loop().create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()


async def test_every_resource_is_reconciled_at_intervals_after_a_failed_list() -> None:
    cluster, queue = FakeCluster(failing=2), FakeQueue()
    with running(resync.resync(cluster, queue, every=0.01)):  # type: ignore[arg-type]
        await eventually(lambda: queue.added == [KNOWN, KNOWN])


async def test_every_resource_is_reconciled_when_a_crd_appears() -> None:
    """No event would requeue the solvers that wait for it."""
    cluster, queue, changed = FakeCluster(failing=2), FakeQueue(), asyncio.Event()
    with running(resync.discover(cluster, queue, changed.set, every=0.001)):  # type: ignore[arg-type]
        await eventually(lambda: KNOWN in queue.added)
    assert changed.is_set()
    assert queue.added == [KNOWN]


async def test_work_starts_when_the_watches_have_listed_everything() -> None:
    cluster, queue, listed = FakeCluster(missing={SERVICE, HTTP_ROUTE}), FakeQueue(), asyncio.Event()
    with running(resync.start(cluster, queue, listed)):  # type: ignore[arg-type]
        for kind in SERVICE, HTTP_ROUTE:
            listed.set()
            await eventually(lambda: not listed.is_set())
            assert not queue.started.is_set()
            cluster.missing.remove(kind)
        listed.set()
        await eventually(queue.started.is_set)
    assert queue.added == [KNOWN]


async def test_a_failed_list_of_a_kind_with_a_crd_does_not_block_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The kind's conversion webhook may fail."""
    monkeypatch.setattr(resync, "LIST_TIMEOUT_SECONDS", 0.01)
    cluster, queue = FakeCluster(missing={SERVICE, HTTP_ROUTE}), FakeQueue()
    listed = asyncio.Event()
    with running(resync.start(cluster, queue, listed)):  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        assert not queue.started.is_set()
        cluster.missing.remove(SERVICE)
        listed.set()
        await eventually(queue.started.is_set)
    assert "starting without a list of HTTPRoute" in caplog.text


async def test_a_namespace_that_refuses_its_lists_does_not_block_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resync, "LIST_TIMEOUT_SECONDS", 0.01)
    cluster, queue = FakeCluster(missing={SERVICE}, refused={SERVICE}), FakeQueue()
    with running(resync.start(cluster, queue, asyncio.Event())):  # type: ignore[arg-type]
        await eventually(queue.started.is_set)
    assert queue.added == [KNOWN]
