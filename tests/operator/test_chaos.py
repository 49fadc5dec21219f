"""A short fault campaign, and the parts of `python -m hack.chaos`, which is the whole one."""

import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hack import operator_rights
from hack.chaos import campaign, report
from hack.chaos.calls import Call, Point, Trace
from hack.chaos.cases import FAMILIES, Case, Family, derive, steps
from hack.chaos.observer import World
from hack.chaos.outages import Partition
from hack.chaos.program import Program
from hack.chaos.run import LABEL, Arena, Result
from hack.chaos.scenario import START
from hack.chaos.snapshot import difference, take
from tests.operator.conftest import Kubectl

SEED = 1
JOBS = 4
SLOW = {"write-silent", "write-silent-done", "read-silent"}
"""Faults that last as long as the operator waits for an answer: only in the whole campaign."""
SHORT_PARTITION_SECONDS = 4.0


@pytest.fixture
async def arena(cluster_kubectl: Kubectl, tmp_path: Path) -> AsyncIterator[Arena]:
    operator_rights.install(cluster_kubectl)
    async with campaign.arena(cluster_kubectl.kubeconfig, tmp_path) as made:
        yield made
    cluster_kubectl("delete", "namespace", "-l", LABEL, "--wait=false")


def _one_of_each(trace: Trace) -> list[Case]:
    """A case of each fault, with a chance that is the same each time."""
    chance = random.Random(SEED)  # noqa: S311 - nobody is to be kept from guessing it
    found: dict[str, list[Case]] = {}
    for case in derive(trace):
        found.setdefault(case.fault, []).append(case)
    return [chance.choice(cases) for fault, cases in found.items() if fault not in SLOW]


@pytest.mark.slow
async def test_no_fault_changes_what_comes_out(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of each is tried; and the campaign does alarm where something comes out otherwise."""
    for how in "cut", "silent", "503":
        make = partial(Partition, lasts=SHORT_PARTITION_SECONDS, how=how)
        monkeypatch.setitem(FAMILIES, f"partition-{how}", Family(make, steps))
    expected = await campaign.agreed(arena)
    cases = _one_of_each(expected.trace)
    results = [result async for result in campaign.run(arena, cases, expected, jobs=JOBS)]
    assert report.alarms(results) == ""
    struck = sum(result.hit for result in results)
    assert struck > 0.8 * len(cases), report.table(results)
    other = replace(expected, counts={**expected.counts, "Deployment/demo": (2, 2)})
    (result,) = [result async for result in campaign.run(arena, cases[:1], other, jobs=1)]
    assert result.alarms[0] == "created, deleted: Deployment/demo is [1, 1], not [2, 2]"


@pytest.mark.parametrize(
    ("method", "target", "label"),
    [
        ("GET", "/apis", "discover.apis"),
        ("GET", "/api/v1", "discover.api.v1"),
        ("GET", "/apis/apps/v1/namespaces/team/deployments/demo", "get.deployments.demo"),
        ("GET", "/api/v1/namespaces/team/pods?labelSelector=a", "list.pods"),
        ("GET", "/api/v1/namespaces/team/pods?watch=true", "watch.pods"),
        ("GET", "/api/v1/namespaces/team", "get.namespaces.team"),
        ("DELETE", "/api/v1/namespaces/team/services/demo", "delete.services.demo"),
        ("PATCH", "/apis/a/v1/namespaces/team/solvers/demo/status", "patch.solvers.status.demo"),
        ("POST", "/apis/events.k8s.io/v1/namespaces/team/events", "create.events"),
    ],
)
def test_a_request_is_named_as_rbac_would_name_it(method: str, target: str, label: str) -> None:
    path, _, query = target.partition("?")
    call = Call.of(method, path, query)
    assert call.label == label
    assert call.writes == (method != "GET")


def test_a_point_is_the_so_many_th_of_its_kind_in_its_step() -> None:
    trace = Trace("create")
    call = Call("patch", "services", "demo")
    assert [str(trace.call(call)) for _ in range(2)] == [
        "create/patch.services.demo#1",
        "create/patch.services.demo#2",
    ]
    trace.step = "delete"
    assert trace.call(call) == Point("delete", "patch.services.demo", 1)
    assert len(trace.writes) == 3


def test_every_case_can_be_repeated_by_its_name() -> None:
    trace = Trace(START)
    trace.call(Call("watch", "pods"))
    trace.call(Call("patch", "services", "demo"))
    trace.event("pods", "ADDED")
    cases = derive(trace)
    assert {case.fault for case in cases} == set(FAMILIES)
    assert [Case.parse(str(case)) for case in cases] == cases
    with pytest.raises(ValueError, match="there is no fault 'nonsense'"):
        Case.parse("nonsense@create/x#1")


def _deployment(uid: str, **spec: Any) -> dict[str, Any]:
    owner = {"kind": "MCQSolver", "name": "demo", "uid": f"owner-of-{uid}"}
    metadata = {"name": "demo", "namespace": f"space-{uid}", "uid": uid, "ownerReferences": [owner]}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"where": f"svc.space-{uid}", **spec}}


def test_a_snapshot_is_the_same_in_another_namespace_and_shows_what_is_not() -> None:
    worlds = World(), World()
    for world, uid in zip(worlds, ("one", "two"), strict=True):
        world.note("ADDED", _deployment(uid, replicas=1))
    one, two = take(worlds[0], "space-one"), take(worlds[1], "space-two")
    assert one == two
    worlds[1].note("MODIFIED", _deployment("two", replicas=2))
    assert list(difference(take(worlds[1], "space-two"), one)) == [
        "Deployment/demo.spec.replicas is 2, not 1"
    ]
    worlds[1].note("DELETED", _deployment("two"))
    assert list(difference(take(worlds[1], "space-two"), one)) == ["Deployment/demo is missing"]
    assert worlds[1].counts() == {"Deployment/demo": (1, 1)}


def test_a_traceback_in_the_operators_log_is_reported_by_its_last_line(tmp_path: Path) -> None:
    operator = Program(tmp_path, "team", "http://127.0.0.1:9")
    assert operator.complaints() == []
    traceback = 'Traceback (most recent call last):\n  File "x.py"\n    x()\nValueError: bad'
    lines = [json.dumps({"message": "failed"}), traceback, json.dumps({"exception": traceback})]
    operator.log.write_text("\n".join(lines))
    told = [line.rstrip('"}') for line in operator.complaints()]
    assert told == ["a traceback in the log: ValueError: bad"] * 2


def test_a_report_counts_by_fault_and_says_how_to_repeat_an_alarm(tmp_path: Path) -> None:
    results = [
        Result("kill-seen@create/patch.services.demo#1", hit=True, seconds=1),
        Result("kill-seen@create/patch.services.demo#2", hit=False, alarms=["x is 1, not 2"], seconds=3),
    ]
    assert report.table(results).splitlines()[1].split() == ["kill-seen", "2", "1", "1", "2.0"]
    assert report.alarms(results).splitlines()[1:] == [
        "  its point was not reached this time, so no fault struck",
        "  x is 1, not 2",
        "  again: .venv/bin/python -m hack.chaos --case 'kill-seen@create/patch.services.demo#2'",
    ]
    report.write(results, tmp_path / "report.json")
    assert len(json.loads((tmp_path / "report.json").read_text())) == 2
