"""Run the scenario once: without a fault to record the reference, or with a fault to compare with it."""

from __future__ import annotations

import asyncio
import shutil
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.chaos.calls import Trace
from tests.chaos.faults import NoFault
from tests.chaos.program import Program
from tests.chaos.proxy import Proxy
from tests.chaos.scenario import START, STEPS
from tests.chaos.snapshot import Snapshot, difference, take_snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chaos.namespace_state import NamespaceState
    from tests.chaos.observer import Observer
    from tests.chaos.proxy import Upstream

SETTLED_SECONDS = 0.4
"""A step is done after this long in the expected state without a write."""
STEP_SECONDS = 1.1
"""The shortest step. A Deployment scales old ReplicaSets down in the order of their creation times, which have a
resolution of one second."""
QUIET_SECONDS = 1.2
"""A clean run's step is done after this long without a change."""
AFTER_SECONDS = 1.0
"""The time after the last step for a fault's late effects to show."""
BOUND_SECONDS = 45.0
"""The limit for a step, in addition to its fault's time."""
CLEAN_SECONDS = 120.0
"""The limit for a clean run."""
POLL_SECONDS = 0.05
LABEL = "mcq-operator.dev/chaos"
"""The label of a campaign's namespaces."""


@dataclass(frozen=True)
class Arena:
    """The environment that all runs share."""

    upstream: Upstream
    observer: Observer
    directory: Path


@dataclass(frozen=True)
class CleanRun:
    """The record of a clean run: a snapshot per step, the watched kinds, each object's creations and deletions."""

    trace: Trace
    snapshots: dict[str, Snapshot]
    watching: frozenset[str]
    counts: dict[str, tuple[int, int]]


@dataclass
class Result:
    """The result of a run with a fault."""

    name: str
    hit: bool = False
    alarms: list[str] = field(default_factory=list)
    seconds: float = 0.0


class _Run:
    """One operator, its proxy and its namespace."""

    def __init__(self, arena: Arena, fault: NoFault) -> None:
        self.namespace = f"chaos-{uuid.uuid4().hex[:8]}"
        self.arena = arena
        self.fault = fault
        self.trace = Trace(START)
        self.proxy = Proxy(arena.upstream, self.trace, fault)
        self.state: NamespaceState = arena.observer.namespaces[self.namespace]
        self._cached_snapshot: tuple[float, Snapshot] | None = None

    async def create_namespace(self) -> None:
        metadata = {"name": self.namespace, "labels": {LABEL: ""}}
        await self.arena.upstream.ask(
            "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        )

    def program(self, server: str) -> Program:
        home = self.arena.directory / self.namespace
        home.mkdir(parents=True)
        return Program(home, self.namespace, server)

    def quiet_seconds(self) -> float:
        """Return the seconds since the last change in the namespace or the operator's last write."""
        return time.monotonic() - max(self.state.changed, self.proxy.last_write)

    def snapshot(self) -> Snapshot:
        if self._cached_snapshot is None or self._cached_snapshot[0] != self.state.changed:
            self._cached_snapshot = self.state.changed, take_snapshot(self.state, self.namespace)
        return self._cached_snapshot[1]


@dataclass
class _RunActions:
    """What a fault can do to one run."""

    program: Program
    proxy: Proxy

    def kill(self) -> None:
        self.program.kill()

    def start(self) -> None:
        self.program.start()

    def cut(self) -> None:
        self.proxy.cut()


async def run_clean(arena: Arena) -> CleanRun:
    """Run the scenario without a fault. Raises TimeoutError."""
    run = _Run(arena, NoFault())
    snapshots = {}
    await run.create_namespace()
    async with asyncio.timeout(CLEAN_SECONDS), run.proxy.serving() as server:
        program = run.program(server)
        try:
            program.start()
            while not run.proxy.watching:
                await asyncio.sleep(QUIET_SECONDS)
            await asyncio.sleep(QUIET_SECONDS)
            watching = frozenset(run.proxy.watching)
            for step in STEPS:
                run.trace.step = step.name
                await step.apply(arena.upstream, run.namespace)
                await asyncio.sleep(QUIET_SECONDS)
                # The garbage collector may take half a minute to discover a new kind.
                while run.quiet_seconds() < QUIET_SECONDS or (step == STEPS[-1] and run.state.live):
                    await asyncio.sleep(POLL_SECONDS)
                snapshots[step.name] = run.snapshot()
        finally:
            program.kill()
    return CleanRun(run.trace, snapshots, watching, run.state.counts())


async def run_with_fault(arena: Arena, name: str, fault: NoFault, expected: CleanRun) -> Result:
    """Run the scenario with a fault, and report every difference from the clean run."""
    run, result, started = _Run(arena, fault), Result(name), time.monotonic()
    await run.create_namespace()
    async with run.proxy.serving() as server:
        program = run.program(server)
        fault.actions = _RunActions(program, run.proxy)
        try:
            await fault.step(START)
            program.start()
            await _wait_started(run, program, expected, result)
            for step in STEPS:
                run.trace.step = step.name
                await fault.step(step.name)
                await step.apply(arena.upstream, run.namespace)
                await _wait_settled(run, program, expected.snapshots[step.name], result)
            await _wait_over(run, program)
        finally:
            program.kill()
    counts = run.state.counts()
    result.alarms += [f"created, deleted: {line}" for line in difference(counts, expected.counts)]
    result.alarms += [f"at the end: {line}" for line in difference(run.snapshot(), {})]
    result.alarms += [*program.ends, *program.complaints()]
    result.hit = fault.hit
    result.seconds = time.monotonic() - started
    if not result.alarms:
        shutil.rmtree(program.home)
    else:
        result.alarms.append(f"log: {program.log}")
    return result


async def _wait_started(run: _Run, program: Program, expected: CleanRun, result: Result) -> None:
    """Wait until the operator watches every expected kind."""
    end = time.monotonic() + BOUND_SECONDS + run.fault.seconds
    while not run.proxy.watching >= expected.watching:
        program.revive()
        if time.monotonic() > end:
            missing = sorted(expected.watching - run.proxy.watching)
            result.alarms.append(f"{START}: not watching {', '.join(missing)}")
            return
        await asyncio.sleep(POLL_SECONDS)


async def _wait_settled(run: _Run, program: Program, expected: Snapshot, result: Result) -> None:
    """Wait until the namespace reaches the clean run's state after this step and stays in it."""
    start = time.monotonic()
    end = start + BOUND_SECONDS + run.fault.seconds
    # After the last step no object may be left, including those of other controllers.
    last = run.trace.step == STEPS[-1].name
    while (
        time.monotonic() < start + STEP_SECONDS
        or run.quiet_seconds() < SETTLED_SECONDS
        or run.snapshot() != expected
        or (last and run.state.live)
    ):
        program.revive()
        if time.monotonic() > end:
            differences = list(difference(run.snapshot(), expected)) or ["the operator keeps writing"]
            result.alarms += [f"{run.trace.step}: {line}" for line in differences[:10]]
            return
        await asyncio.sleep(POLL_SECONDS)


async def _wait_over(run: _Run, program: Program) -> None:
    """Wait until the fault is over and its late effects have had time to show."""
    while run.fault.pending():
        await asyncio.sleep(POLL_SECONDS)
    await asyncio.sleep(AFTER_SECONDS)
    program.revive()
