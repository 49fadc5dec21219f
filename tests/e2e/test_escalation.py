"""Escalation between two solvers on the cluster, with the real model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hack.ask import QUESTION, ask
from hack.installation import Solver as Installed
from hack.installation import wait_ready
from tests.e2e.conftest import NAME, NAMESPACE
from tests.e2e.support import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Solver

pytestmark = pytest.mark.slow
FIRST = "first"
URL = f"http://{FIRST}.localhost:8080"


def condition(solver: Solver, kind: str) -> dict[str, Any]:
    conditions = solver.get("mcq", FIRST)["status"]["conditions"]
    return next(each for each in conditions if each["type"] == kind)


@pytest.fixture(scope="module")
def first(solver: Solver) -> Iterator[str]:
    """Yield the URL of a solver that is never sure enough. Its engine is the other solver: it has no model."""
    manifest = {
        "apiVersion": "mcq-operator.dev/v1alpha1",
        "kind": "MCQSolver",
        "metadata": {"name": FIRST, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "engine": {"type": "OpenAI", "openai": {"endpoint": f"http://{NAME}.{NAMESPACE}.svc"}},
            "answering": {"minConfidence": 0.9999, "escalateTo": {"solverRef": {"name": NAME}}},
            "ingress": {"host": f"{FIRST}.localhost"},
        },
    }
    solver.kubectl("apply", "--filename", "-", stdin=json.dumps(manifest))
    wait_ready(solver.kubectl, Installed(NAMESPACE, FIRST), seconds=300)
    yield URL
    solver.kubectl("--namespace", NAMESPACE, "delete", "mcq", FIRST, "--ignore-not-found")


def test_the_other_solver_answers(solver: Solver, first: str) -> None:
    """The minimum confidence is the first solver's, unless the request has its own."""
    assert condition(solver, "EscalationReady")["reason"] == "SolverAvailable"
    answer = ask(first, {**QUESTION, "mode": "answer"})
    escalation = answer["escalation"]
    assert escalation["answered_by"] == f"http://{NAME}.{NAMESPACE}.svc"
    assert (escalation["first_label"], answer["abstained"]) == ("B", True)
    assert ask(first, {**QUESTION, "mode": "answer", "min_confidence": 0})["answer"]["label"] == "B"


def test_the_status_says_that_the_other_solver_is_away(solver: Solver, first: str) -> None:
    """Replicas abstain meanwhile. This solver's own engine is the other solver, so it does not answer either."""
    replicas = ["--namespace", NAMESPACE, "patch", "mcq", NAME, "--type=merge", "--patch"]
    solver.kubectl(*replicas, '{"spec": {"replicas": 0}}')
    eventually(
        lambda: condition(solver, "EscalationReady")["reason"] == "SolverNotAvailable",
        seconds=120,
        what="the condition follows the other solver",
    )
    solver.kubectl(*replicas, '{"spec": {"replicas": 3}}')
    solver.wait_ready()
    eventually(
        lambda: condition(solver, "EscalationReady")["reason"] == "SolverAvailable",
        seconds=60,
        what="the condition follows the other solver",
    )
