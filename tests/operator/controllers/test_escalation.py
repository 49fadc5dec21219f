"""A solver's status follows the solver that it escalates to, which has events of its own."""

from pathlib import Path

import pytest
from tests.operator.conftest import Kubectl
from tests.operator.live import apply, condition, existing, until
from tests.operator.support import deployment, solver
from tests.operator.test_process import Operator

from mcq_operator.api import ResourceStatus
from mcq_operator.api.observed import ObservedSolver
from mcq_operator.status import escalation

TO_LARGE = {"answering": {"minConfidence": 0.6, "escalateTo": {"solverRef": {"name": "large"}}}}


def available(state: str) -> ResourceStatus:
    """Return the status of a solver with this Available condition."""
    condition = {"type": "Available", "status": state, "reason": "R", "message": "M."}
    return ResourceStatus.model_validate({"conditions": [condition]})


@pytest.mark.parametrize(
    ("name", "other", "state", "reason"),
    [
        ("demo", available("True"), "False", "SameSolver"),
        ("large", None, "False", "SolverNotFound"),
        ("large", available("False"), "False", "SolverNotAvailable"),
        ("large", available("Unknown"), "False", "SolverNotAvailable"),
        ("large", available("True"), "True", "SolverAvailable"),
    ],
)
def test_the_condition_says_whether_the_other_solver_can_be_asked(
    name: str, other: ResourceStatus | None, state: str, reason: str
) -> None:
    """Only a solver with `escalateTo` has the condition."""
    observed = ObservedSolver(deployment=deployment(), escalation=other)
    found = escalation.finding(solver({"answering": {"escalateTo": {"solverRef": {"name": name}}}}), observed)
    assert found is not None
    assert (found.status, found.reason) == (state, reason)
    assert state == "True" or "replicas abstain" in found.message
    assert escalation.finding(solver({}), observed) is None


async def test_the_condition_follows_the_other_solver(kubectl: Kubectl, tmp_path: Path) -> None:
    """Its creation and its deletion requeue the solver."""
    operator = Operator(
        kubectl.kubeconfig, tmp_path / "operator.log", MCQ_OPERATOR_NAMESPACES=kubectl.namespace
    )

    def reason() -> str:
        return str(condition(kubectl, "EscalationReady")["reason"])

    await operator.start()
    try:
        apply(kubectl, TO_LARGE)
        await until(lambda: "conditions" in existing(kubectl, "mcq", "demo").get("status", {}))
        assert reason() == "SolverNotFound"
        demo = existing(kubectl, "mcq", "demo")
        large = {
            "apiVersion": demo["apiVersion"],
            "kind": demo["kind"],
            "metadata": {"name": "large"},
            "spec": {},
        }
        kubectl.server.apply(large, kubectl.namespace)
        await until(lambda: reason() == "SolverNotAvailable")
        kubectl("delete", "mcq", "large")
        await until(lambda: reason() == "SolverNotFound")
    finally:
        await operator.stop()
