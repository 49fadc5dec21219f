"""A new release of the operator: a few solvers at a time get its replicas, and none that is paused."""

from typing import Any

import pytest
from tests.operator.conftest import Bench, Kubectl
from tests.operator.live import apply, condition, existing, kubelet
from tests.operator.support import solver

from mcq_operator.api import MCQSolver, SolverKey
from mcq_operator.api.names import PAUSE_UPGRADE
from mcq_operator.controllers.upgrades import Upgrades
from mcq_operator.desired import ServiceImages


def known(name: str = "demo", *, release: str = "1", annotations: dict[str, str] | None = None) -> MCQSolver:
    """Return a solver with replicas of that operator release."""
    status: dict[str, Any] = {"observedGeneration": 2, "templateDigest": "before", "release": release}
    return solver(status=status, name=name, annotations=annotations or {})


def upgrades(at_once: int = 1) -> tuple[Upgrades, list[SolverKey]]:
    readers: list[SolverKey] = []
    return Upgrades(release="2", at_once=at_once, requeue=readers.append), readers


def test_a_few_roll_out_at_a_time_and_the_next_is_requeued_when_one_is_done() -> None:
    created, readers = upgrades(2)
    solvers = [known(f"demo-{number}") for number in range(4)]
    blocked = [bool(created.hold_reason(each, digest="after")) for each in solvers]
    assert blocked == [False, False, True, True]
    # Looked at again, each keeps its turn.
    assert [bool(created.hold_reason(each, digest="after")) for each in solvers] == blocked
    created.record(solvers[0].key, rolling=True)
    assert readers == []
    created.record(solvers[0].key, rolling=False)
    assert readers == [solvers[2].key]
    assert created.hold_reason(solvers[2], digest="after") == ""
    assert created.hold_reason(solvers[3], digest="after")
    # One that is deleted makes room as well.
    created.forget(solvers[1].key)
    assert readers == [solvers[2].key, solvers[3].key]


@pytest.mark.parametrize(
    ("actual", "digest"),
    [
        (solver(), "after"),
        (known(release="2"), "after"),
        (known(), "before"),
        (
            known().model_copy(update={"metadata": known().metadata.model_copy(update={"generation": 3})}),
            "after",
        ),
    ],
    ids=["new", "of this release", "with the same replicas", "with a changed spec"],
)
def test_a_solver_that_needs_no_turn_never_waits(actual: MCQSolver, digest: str) -> None:
    created, _ = upgrades()
    created.record(SolverKey("team", "other"), rolling=True)
    assert created.hold_reason(known("busy"), digest="after")
    assert created.hold_reason(actual, digest=digest) == ""


def test_a_paused_solver_is_held_back_and_takes_no_turn() -> None:
    created, readers = upgrades()
    paused = known(annotations={PAUSE_UPGRADE: "true"})
    assert PAUSE_UPGRADE in created.hold_reason(paused, digest="after")
    created.record(paused.key, rolling=False)
    assert created.hold_reason(known("other"), digest="after") == ""
    assert readers == []


def test_zero_at_once_upgrades_all_solvers() -> None:
    created, _ = upgrades(0)
    assert [created.hold_reason(known(f"demo-{number}"), digest="after") for number in range(50)] == [""] * 50


async def test_replicas_of_an_earlier_release_answer_until_the_turn_has_come(
    kubectl: Kubectl, bench: Bench
) -> None:
    """Or until the spec changes; meanwhile the solver is Ready, says so, and other children are kept true."""
    apply(kubectl, {"replicas": 1})
    await bench.settle()
    await kubelet(kubectl, 1)
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
