"""A changed object requeues its owner; resources and drift come first."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from mcq_operator.api import Key, Manifest, SolverKey
from mcq_operator.api.kinds import DEPLOYMENT, POD, SERVICE, SOLVER, Kind
from mcq_operator.client import CachedClient
from mcq_operator.informer.staleness import WatchStaleness
from mcq_operator.manager.manager import PROGRESS_SECONDS, _observe_events
from mcq_operator.manager.workqueue import WorkQueue
from mcq_operator.store import observe

DEMO = SolverKey("team", "demo")
WAITING = [SolverKey("team", f"other-{number}") for number in range(3)]
OWNER = {
    "apiVersion": "mcq-operator.dev/v1alpha1",
    "kind": "MCQSolver",
    "name": "demo",
    "uid": "uid-demo",
    "controller": True,
}


class ObservedQueue:
    """An operator's store and queue, without a running worker."""

    def __init__(self) -> None:
        self.turns: list[Key] = []
        self.delays: list[float] = []
        self._client = CachedClient(None, on_write=lambda *_: None)
        self._queue: WorkQueue[Key] = WorkQueue(
            self._turn,
            workers=1,
            call_later=self._call_at_once,
            random=random.random,
            clock=time.monotonic,
        )
        self._staleness = WatchStaleness(self._no_versions, clock=time.monotonic)

    def receive(self, version: int, kind: Kind, *, gone: bool = False, **more: Any) -> None:
        """Receive an event of a watch."""
        metadata: Manifest = {"namespace": "team", "name": "demo", "resourceVersion": str(version)}
        if kind is not SOLVER:
            metadata["ownerReferences"] = [OWNER]
        _observe_events(
            self._client,
            self._queue,
            self._staleness,
            [observe(kind, {"metadata": metadata, **more}, gone=gone)],
        )

    async def work(self) -> list[Key]:
        """Run the worker on all waiting keys; return the keys in order."""
        self.turns.clear()
        self.delays.clear()
        worker = asyncio.create_task(self._queue.run())
        for _ in range(50):
            await asyncio.sleep(0)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        return self.turns

    def queue_others(self) -> None:
        """Queue other keys first."""
        for key in WAITING:
            self._queue.add(key)

    def _call_at_once(self, delay: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        self.delays.append(delay)
        return asyncio.get_running_loop().call_later(0, call)

    async def _turn(self, key: Key) -> None:
        self.turns.append(key)

    async def _no_versions(self, kind: Kind) -> dict[tuple[str, str], int]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("kind", "before", "after", "first"),
    [
        pytest.param(SERVICE, {}, None, True, id="a deleted child"),
        pytest.param(
            DEPLOYMENT,
            {"spec": {"replicas": 3}},
            {"spec": {"replicas": 9}},
            True,
            id="a changed child",
        ),
        pytest.param(SOLVER, {"spec": {"replicas": 3}}, {"spec": {"replicas": 2}}, True, id="a changed spec"),
        pytest.param(
            DEPLOYMENT,
            {"status": {"replicas": 1}},
            {"status": {"replicas": 2}},
            False,
            id="the progress of a roll-out",
        ),
        pytest.param(POD, {"status": {}}, None, False, id="a Pod that ended"),
    ],
)
async def test_changed_resources_and_drift_come_before_all_waiting_keys(
    kind: Kind, before: dict[str, Any], after: dict[str, Any] | None, first: bool
) -> None:
    observed = ObservedQueue()
    observed.receive(1, kind, **before)
    assert await observed.work() == [DEMO]

    observed.queue_others()
    observed.receive(2, kind, gone=after is None, **(after or {}))
    assert observed.delays == ([] if first else [PROGRESS_SECONDS])

    assert await observed.work() == ([DEMO, *WAITING] if first else [*WAITING, DEMO])
