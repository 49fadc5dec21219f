"""The scenarios, one function each; each returns figures and ends in bounded time."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.operator import replicas
from benchmarks.operator.client import APPLY, MERGE, Client, at_once
from benchmarks.operator.observer import Child, Observer
from benchmarks.operator.operator_process import Operator, Samples, by_label, total
from benchmarks.operator.workload import Solver, solvers, unowned

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.operator.control_plane import ControlPlane

Figures = dict[str, Any]

LONGEST_SECONDS = 900.0
"""Timeout of every wait. Each controller of the cluster makes 20 writes a second, so Pods take long."""
QUIET_SECONDS = 5.0
SCRAPE_SECONDS = 5.0
"""Seconds between reads of the operator's metrics: rendering a thousand solvers' metrics is load on the operator."""
REFERENCE_SOLVERS = 150
REPEATS = 20


@dataclass(frozen=True)
class Stage:
    """The environment of every scenario."""

    plane: ControlPlane
    client: Client
    observer: Observer
    replicas: int


async def reference(plane: ControlPlane, client: Client) -> Figures:
    """Apply the solvers' objects with a bare client: the server's own speed and cost."""
    applies = [
        each for solver in solvers("reference", REFERENCE_SOLVERS, replicas=0) for each in unowned(solver)
    ]
    busy, started = plane.cpu_seconds(), time.monotonic()
    await at_once(partial(client.send, "PATCH", path, body, APPLY) for path, body in applies)
    seconds = time.monotonic() - started
    used = plane.cpu_seconds_since(busy)
    return {
        "applies_per_second": len(applies) / seconds,
        "cpu_ms_per_apply": {name: each * 1000 / len(applies) for name, each in used.items()},
    }


async def one_by_one(stage: Stage) -> Figures:
    """Measure the seconds from a solver's creation to the creation of its last child."""
    seconds = []
    for solver in solvers("one", REPEATS, replicas=stage.replicas):
        started = time.monotonic()
        await solver.create(stage.client)
        await stage.observer.until(partial(_all_exist, stage.observer, solver), seconds=60)
        seconds.append(max(stage.observer.first[child] for child in solver.children) - started)
    return spread(seconds)


async def many(stage: Stage, operator: Operator, solvers: list[Solver]) -> Figures:
    """Create all solvers at once, and measure until the operator has nothing left to do."""
    before, children = await operator.samples(), sum(len(solver.children) for solver in solvers)
    expected = len(stage.observer.first) + children
    busy, cpu = stage.plane.cpu_seconds(), operator.cpu_seconds
    started = time.monotonic()
    until_settled = asyncio.create_task(
        settled(operator, lambda samples: _reconciled(samples, before, len(solvers)))
    )
    await at_once(partial(solver.create, stage.client) for solver in solvers)
    created = time.monotonic() - started
    complete = await stage.observer.until(
        lambda: len(stage.observer.first) >= expected, seconds=LONGEST_SECONDS
    )
    used = stage.plane.cpu_seconds_since(busy)
    cpu_until_complete = operator.cpu_seconds - cpu
    settled_at, peak = await until_settled
    await replicas.until_created(stage.client, stage.replicas, seconds=LONGEST_SECONDS)
    settled_at = max(settled_at, (await settled(operator, lambda _: True))[0])
    after = await operator.samples()
    return {
        "solvers": len(solvers),
        "children": children,
        "solvers_created_seconds": created,
        "children_seconds": complete - started,
        "settled_seconds": settled_at - started,
        "failed_reconciles": _reconciles(after, "failed") - _reconciles(before, "failed"),
        "reconciles": total(after, RECONCILES) - total(before, RECONCILES),
        "cpu_seconds_until_children": {"operator": cpu_until_complete, **used},
        "operator_cpu_seconds_until_settled": operator.cpu_seconds - cpu,
        "requests": _difference(after, before, REQUESTS, "method"),
        "writes": _difference(after, before, WRITES, "kind"),
        "memory_peak_mib": peak,
        "memory_settled_mib": operator.memory,
    }


async def ready(stage: Stage, operator: Operator) -> Figures:
    """Make all replicas ready, and wait until all solvers are Ready."""
    started = time.monotonic()
    await replicas.until_ready(stage.client, seconds=LONGEST_SECONDS)
    at, peak = await settled(operator, lambda _: True)
    return {
        "settled_seconds": at - started,
        "memory_peak_mib": peak,
        "memory_settled_mib": operator.memory,
    }


async def restart(operator: Operator, started: float, count: int) -> Figures:
    """Measure a fresh operator's work on solvers that need no change."""
    at, peak = await settled(operator, lambda samples: total(samples, RECONCILES) >= count)
    samples = await operator.samples()
    return {
        "settled_seconds": at - started,
        "writes": total(samples, WRITES),
        "reconciles": total(samples, RECONCILES),
        "requests": by_label(samples, REQUESTS, "method"),
        "memory_peak_mib": peak,
        "memory_settled_mib": operator.memory,
    }


async def drift(stage: Stage, solvers: list[Solver]) -> Figures:
    """Measure the seconds until a deleted Service exists again and a changed Deployment field is restored."""
    services, deployments = [], []
    for solver in solvers[:REPEATS]:
        child, path = Child("Service", solver.namespace, solver.name), f"namespaces/{solver.namespace}"
        uid, started = stage.observer.metadata[child]["uid"], time.monotonic()
        await stage.client.send("DELETE", f"/api/v1/{path}/services/{solver.name}")
        at = await stage.observer.until(partial(_other_uid, stage.observer, child, uid), seconds=60)
        services.append(at - started)
    for solver in solvers[:REPEATS]:
        child, path = Child("Deployment", solver.namespace, solver.name), f"namespaces/{solver.namespace}"
        body, started = json.dumps({"spec": {"revisionHistoryLimit": 9}}).encode(), time.monotonic()
        changed = await stage.client.send(
            "PATCH", f"/apis/apps/v1/{path}/deployments/{solver.name}", body, MERGE
        )
        generation = changed["metadata"]["generation"]
        at = await stage.observer.until(partial(_newer, stage.observer, child, generation), seconds=60)
        deployments.append(at - started)
    return {"service_deleted": spread(services), "deployment_changed": spread(deployments)}


async def idle(operator: Operator, *, seconds: float = 300.0) -> Figures:
    """Return the share of a core that an idle operator uses; it verifies its watches once in that time."""
    before, started = operator.cpu_seconds, time.monotonic()
    await asyncio.sleep(seconds)
    return {"cores": (operator.cpu_seconds - before) / (time.monotonic() - started)}


async def settled(operator: Operator, done: Callable[[Samples], bool]) -> tuple[float, dict[str, float]]:
    """Return the time when `done` holds and writes have stopped, to SCRAPE_SECONDS, and the peak memory until then."""
    async with asyncio.timeout(LONGEST_SECONDS):
        peak, observed, at = operator.memory, -1.0, time.monotonic()
        while True:
            samples, now = await operator.samples(), time.monotonic()
            writes = total(samples, WRITES)
            if writes != observed or not done(samples):
                observed, at = writes, now
            elif now - at > QUIET_SECONDS:
                return at, peak
            while time.monotonic() - now < SCRAPE_SECONDS:
                peak = {name: max(size, peak[name]) for name, size in operator.memory.items()}
                await asyncio.sleep(0.25)


def spread(seconds: list[float]) -> Figures:
    """Return the median, lowest and highest."""
    return {"median": median(seconds), "lowest": min(seconds), "highest": max(seconds), "count": len(seconds)}


RECONCILES = "mcq_operator_reconciles_total"
REQUESTS = "mcq_operator_requests_total"
WRITES = "mcq_operator_writes_total"


def _all_exist(observer: Observer, solver: Solver) -> bool:
    return all(child in observer.first for child in solver.children)


def _other_uid(observer: Observer, child: Child, uid: str) -> bool:
    return child in observer.metadata and observer.metadata[child]["uid"] != uid


def _newer(observer: Observer, child: Child, generation: int) -> bool:
    return bool(observer.metadata[child]["generation"] > generation)


def _reconciled(samples: Samples, before: Samples, count: int) -> bool:
    return total(samples, RECONCILES) - total(before, RECONCILES) >= count


def _reconciles(samples: Samples, outcome: str) -> float:
    return by_label(samples, RECONCILES, "outcome").get(outcome, 0.0)


def _difference(after: Samples, before: Samples, metric: str, label: str) -> Samples:
    earlier = by_label(before, metric, label)
    return {name: value - earlier.get(name, 0.0) for name, value in by_label(after, metric, label).items()}
