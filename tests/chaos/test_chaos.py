"""Test the parts of the fault campaign; tests/operator/test_campaign.py runs a short campaign."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.chaos import report
from tests.chaos.calls import Call, Point, Trace
from tests.chaos.cases import FAMILIES, Case, derive
from tests.chaos.namespace_state import NamespaceState
from tests.chaos.program import Program
from tests.chaos.run import Result
from tests.chaos.scenario import START
from tests.chaos.snapshot import difference, take_snapshot


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
def test_a_request_is_named_in_rbacs_terms(method: str, target: str, label: str) -> None:
    path, _, query = target.partition("?")
    call = Call.parse(method, path, query)
    assert call.label == label
    assert call.writes == (method != "GET")


def test_points_are_numbered_by_label_within_a_step() -> None:
    trace = Trace("create")
    call = Call("patch", "services", "demo")
    assert [str(trace.call(call)) for _ in range(2)] == [
        "create/patch.services.demo#1",
        "create/patch.services.demo#2",
    ]
    trace.step = "delete"
    assert trace.call(call) == Point("delete", "patch.services.demo", 1)
    assert len(trace.writes) == 3


def test_a_cases_name_parses_back_to_the_case() -> None:
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


def test_snapshots_ignore_the_namespace_and_show_every_difference() -> None:
    states = NamespaceState(), NamespaceState()
    for state, uid in zip(states, ("one", "two"), strict=True):
        state.record("ADDED", _deployment(uid, replicas=1))
    first, second = take_snapshot(states[0], "space-one"), take_snapshot(states[1], "space-two")
    assert first == second
    states[1].record("MODIFIED", _deployment("two", replicas=2))
    assert list(difference(take_snapshot(states[1], "space-two"), first)) == [
        "Deployment/demo.spec.replicas is 2, not 1"
    ]
    states[1].record("DELETED", _deployment("two"))
    assert list(difference(take_snapshot(states[1], "space-two"), first)) == ["Deployment/demo is missing"]
    assert states[1].counts() == {"Deployment/demo": (1, 1)}


def test_a_traceback_in_the_log_is_reported_by_its_last_line(tmp_path: Path) -> None:
    operator = Program(tmp_path, "team", "http://127.0.0.1:9")
    assert operator.complaints() == []
    traceback = 'Traceback (most recent call last):\n  File "x.py"\n    x()\nValueError: bad'
    lines = [json.dumps({"message": "failed"}), traceback, json.dumps({"exception": traceback})]
    operator.log.write_text("\n".join(lines))
    last_lines = [line.rstrip('"}') for line in operator.complaints()]
    assert last_lines == ["a traceback in the log: ValueError: bad"] * 2


def test_a_report_counts_by_fault_and_has_the_command_that_repeats_an_alarm(tmp_path: Path) -> None:
    results = [
        Result("kill-seen@create/patch.services.demo#1", hit=True, seconds=1),
        Result("kill-seen@create/patch.services.demo#2", hit=False, alarms=["x is 1, not 2"], seconds=3),
    ]
    assert report.table(results).splitlines()[1].split() == ["kill-seen", "2", "1", "1", "2.0"]
    assert report.alarms(results).splitlines()[1:] == [
        "  this run did not reach its point, so it injected no fault",
        "  x is 1, not 2",
        "  again: .venv/bin/python -m tests.chaos --case 'kill-seen@create/patch.services.demo#2'",
    ]
    report.write(results, tmp_path / "report.json")
    assert len(json.loads((tmp_path / "report.json").read_text())) == 2
