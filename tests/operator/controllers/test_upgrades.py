"""A new release of the operator rolls out its replicas to a few solvers at a time, and to no paused solver."""

from typing import Any

import pytest
from tests.operator.client.test_cached_client import SOLVERS, Operator
from tests.operator.conftest import Bench, Kubectl
from tests.operator.live import apply, condition, existing, mark_pods_ready
from tests.operator.status.test_gate_states import gated
from tests.operator.support import solver

from mcq_operator.api import API_VERSION, GateStatus, MCQSolver, SolverKey, SolverStatus
from mcq_operator.api.gate_status import GatePhase
from mcq_operator.api.names import PAUSE_UPGRADE
from mcq_operator.controllers.solver import is_rolling_out
from mcq_operator.controllers.upgrades import Upgrades
from mcq_operator.desired import ServiceImages

DEPLOYMENT = "/apis/apps/v1/namespaces/team/deployments/demo"


def deployed_solver(
    name: str = "demo",
    *,
    release: str = "1",
    annotations: dict[str, str] | None = None,
    owner: bool = False,
    gate: GateStatus | None = None,
) -> MCQSolver:
    """Return a solver with replicas of an operator release."""
    status: dict[str, Any] = {"observedGeneration": 2, "templateDigest": "before", "release": release}
    if gate is not None:
        status["gate"] = gate.model_dump(by_alias=True)
    parent = {"apiVersion": API_VERSION, "kind": "MCQSolver", "name": "parent", "controller": True}
    owners = [parent] if owner else []
    return solver(status=status, name=name, annotations=annotations or {}, ownerReferences=owners)


def gate_status(phase: GatePhase, template_digest: str = "d") -> GateStatus:
    return GateStatus(
        candidate="c",
        change="0123456789abcdef",
        generation=2,
        phase=phase,
        replica_set="demo-1",
        template_digest=template_digest,
        reason="R",
        message="",
    )


def new_upgrades(at_once: int = 1) -> tuple[Upgrades, list[SolverKey]]:
    requeued: list[SolverKey] = []
    return Upgrades(release="2", at_once=at_once, requeue=requeued.append), requeued


def test_a_few_roll_out_at_a_time_and_the_next_is_requeued_when_one_is_done() -> None:
    upgrades, requeued = new_upgrades(2)
    solvers = [deployed_solver(f"demo-{number}") for number in range(4)]
    held_back = [bool(upgrades.hold_reason(each, digest="after")) for each in solvers]
    assert held_back == [False, False, True, True]
    # In the next reconcile, each keeps its turn.
    assert [bool(upgrades.hold_reason(each, digest="after")) for each in solvers] == held_back
    upgrades.record(solvers[0].key, rolling=True)
    assert requeued == []
    upgrades.record(solvers[0].key, rolling=False)
    assert requeued == [solvers[2].key]
    assert upgrades.hold_reason(solvers[2], digest="after") == ""
    assert upgrades.hold_reason(solvers[3], digest="after")
    # A deleted solver gives its turn to the next one.
    upgrades.forget(solvers[1].key)
    assert requeued == [solvers[2].key, solvers[3].key]


@pytest.mark.parametrize(
    ("solver_without_turn", "digest"),
    [
        (solver(), "after"),
        (deployed_solver(release="2"), "after"),
        (deployed_solver(), "before"),
        (
            deployed_solver().model_copy(
                update={"metadata": deployed_solver().metadata.model_copy(update={"generation": 3})}
            ),
            "after",
        ),
        (deployed_solver(owner=True), "after"),
        (deployed_solver(gate=gate_status("Sitting", template_digest="before")), "after"),
        (deployed_solver(gate=gate_status("Passed", template_digest="before")), "after"),
    ],
    ids=[
        "new",
        "of this release",
        "with the same replicas",
        "with a changed spec",
        "a gate's candidate",
        "with a candidate",
        "with a change that has just passed",
    ],
)
def test_a_solver_that_needs_no_turn_never_waits(solver_without_turn: MCQSolver, digest: str) -> None:
    upgrades, _ = new_upgrades()
    upgrades.record(SolverKey("team", "other"), rolling=True)
    assert upgrades.hold_reason(deployed_solver("busy"), digest="after")
    assert upgrades.hold_reason(solver_without_turn, digest=digest) == ""


def test_a_paused_solver_is_held_back_and_takes_no_turn() -> None:
    upgrades, requeued = new_upgrades()
    paused = deployed_solver(annotations={PAUSE_UPGRADE: "true"})
    assert PAUSE_UPGRADE in upgrades.hold_reason(paused, digest="after")
    upgrades.record(paused.key, rolling=False)
    assert upgrades.hold_reason(deployed_solver("other"), digest="after") == ""
    assert requeued == []


def test_zero_at_once_upgrades_all_solvers() -> None:
    upgrades, _ = new_upgrades(0)
    assert [
        upgrades.hold_reason(deployed_solver(f"demo-{number}"), digest="after") for number in range(50)
    ] == [""] * 50


@pytest.mark.parametrize(
    ("phase", "rolling"), [("Waiting", False), ("Sitting", True), ("Passed", False), ("Refused", False)]
)
def test_a_change_takes_a_turn_only_while_its_candidate_runs(phase: GatePhase, rolling: bool) -> None:
    """A change may wait for ever for a baseline."""
    assert is_rolling_out(SolverStatus(gate=gate_status(phase))) is rolling


def test_a_new_release_of_a_solver_whose_change_passed_long_ago_waits_for_its_turn() -> None:
    upgrades, _ = new_upgrades()
    upgrades.record(SolverKey("team", "other"), rolling=True)
    assert upgrades.hold_reason(deployed_solver(gate=gate_status("Passed")), digest="after")


async def test_the_status_names_the_release_of_the_replicas_that_a_gate_keeps() -> None:
    operator = Operator()
    raw = gated().model_dump(by_alias=True, exclude_none=True)
    operator.server.put(SOLVERS, {"apiVersion": API_VERSION, "kind": "MCQSolver", **raw})
    await operator.relist()
    await operator.result()
    before = operator.server.objects[SOLVERS]["status"]
    stored = operator.server.objects[SOLVERS]
    operator.server.put(SOLVERS, {**stored, "status": {**before, "promoted": "before"}})
    await operator.relist()
    replica_set = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "demo-1", "namespace": "team", "labels": {"a": "b"}},
        "spec": {"template": operator.server.objects[DEPLOYMENT]["spec"]["template"]},
    }
    operator.server.put("/apis/apps/v1/namespaces/team/replicasets/demo-1", replica_set)
    operator.images = ServiceImages("mcq-service:next", "mcq-service-torch:next")
    operator.upgrades = Upgrades(release="next", at_once=0, requeue=lambda _: None)
    await operator.result()
    after = operator.server.objects[SOLVERS]["status"]
    assert (after["gate"]["phase"], after["templateDigest"]) == ("Waiting", before["templateDigest"])
    assert (before["release"], after["release"]) == ("golden", "golden")
    # The gate has refused the change since, and the user pauses the upgrade.
    stored = operator.server.objects[SOLVERS]
    refused = {**after, "gate": {**after["gate"], "phase": "Refused"}}
    metadata = {**stored["metadata"], "annotations": {PAUSE_UPGRADE: "true"}}
    operator.server.put(SOLVERS, {**stored, "metadata": metadata, "status": refused})
    deployed = operator.server.objects[DEPLOYMENT]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 3)
    deployed_status = {"observedGeneration": 1, **counts}
    metadata = {**deployed["metadata"], "generation": 1}
    operator.server.put(DEPLOYMENT, {**deployed, "metadata": metadata, "status": deployed_status})
    await operator.relist()
    await operator.result()
    assert operator.condition("Progressing")["reason"] == "UpgradeHeldBack"


async def test_replicas_of_an_earlier_release_stay_until_the_solvers_turn(
    kubectl: Kubectl, bench: Bench
) -> None:
    """Meanwhile the solver is Ready, Progressing gives the reason, and the operator repairs other children."""
    apply(kubectl, {"replicas": 1})
    await bench.settle()
    await mark_pods_ready(kubectl, 1)
    await bench.settle()
    before = existing(kubectl, "deployment", "demo")["spec"]["template"]
    assert existing(kubectl, "mcq", "demo")["status"]["release"] == "golden"
    bench.upgrades = Upgrades(release="next", at_once=1, requeue=lambda _: None)
    bench.upgrades.record(SolverKey("elsewhere", "busy"), rolling=True)
    bench.images = ServiceImages("mcq-service:next", "mcq-service-torch:next")
    kubectl("delete", "service", "demo")
    await bench.settle()
    assert existing(kubectl, "deployment", "demo")["spec"]["template"] == before
    assert condition(kubectl, "Ready")["status"] == "True"
    reported = condition(kubectl, "Progressing")
    assert (reported["status"], reported["reason"]) == ("False", "UpgradeHeldBack")
    assert existing(kubectl, "service", "demo")
    assert await bench.reconcile() == []
    bench.upgrades.record(SolverKey("elsewhere", "busy"), rolling=False)
    await bench.settle()
    [container] = existing(kubectl, "deployment", "demo")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "mcq-service:next"
    assert existing(kubectl, "mcq", "demo")["status"]["release"] == "next"
