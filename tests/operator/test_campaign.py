"""A short fault campaign; `make chaos` runs the full one."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hack import operator_rights
from tests.chaos import campaign, report
from tests.chaos.calls import Trace
from tests.chaos.cases import FAMILIES, Case, Family, derive, steps
from tests.chaos.outages import Partition
from tests.chaos.run import LABEL, Arena
from tests.operator.conftest import Kubectl

SEED = 1
JOBS = 4
SLOW = {"write-silent", "write-silent-done", "read-silent"}
"""Faults that last as long as the operator's request timeout: only the full campaign has them."""
SHORT_PARTITION_SECONDS = 4.0


@pytest.fixture
async def arena(cluster_kubectl: Kubectl, tmp_path: Path) -> AsyncIterator[Arena]:
    operator_rights.install(cluster_kubectl)
    async with campaign.arena(cluster_kubectl.kubeconfig, tmp_path) as shared:
        yield shared
    cluster_kubectl("delete", "namespace", "-l", LABEL, "--wait=false")


def _one_of_each(trace: Trace) -> list[Case]:
    """Return one case of each fault, the same ones in each run."""
    rng = random.Random(SEED)
    by_fault: dict[str, list[Case]] = {}
    for case in derive(trace):
        by_fault.setdefault(case.fault, []).append(case)
    return [rng.choice(cases) for fault, cases in by_fault.items() if fault not in SLOW]


@pytest.mark.slow
async def test_no_fault_changes_the_outcome(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """One case of each fault runs. The campaign also raises an alarm if an outcome differs."""
    for how in "cut", "silent", "503":
        make = partial(Partition, lasts=SHORT_PARTITION_SECONDS, how=how)
        monkeypatch.setitem(FAMILIES, f"partition-{how}", Family(make, steps))
    expected = await campaign.agreed(arena)
    cases = _one_of_each(expected.trace)
    results = [result async for result in campaign.run(arena, cases, expected, jobs=JOBS)]
    assert report.alarms(results) == ""
    hits = sum(result.hit for result in results)
    assert hits > 0.8 * len(cases), report.table(results)
    other = replace(expected, counts={**expected.counts, "Deployment/demo": (2, 2)})
    (result,) = [result async for result in campaign.run(arena, cases[:1], other, jobs=1)]
    assert result.alarms[0] == "created, deleted: Deployment/demo is [1, 1], not [2, 2]"
