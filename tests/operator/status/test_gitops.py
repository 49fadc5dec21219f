"""The health that Argo CD and Flux show for a solver and an exam, evaluated by real Lua and CEL."""

from pathlib import Path
from typing import Any

import cel
import pytest
import yaml
from lupa.lua54 import LuaRuntime
from tests.operator.support import NOON, deployment, solver

from mcq_operator import status
from mcq_operator.api import API_VERSION, ResourceStatus
from mcq_operator.api.kinds import SERVICE
from mcq_operator.api.observed import CanaryVerdict, ObservedSolver, Refusal

GITOPS = Path(__file__).resolve().parents[3] / "config/gitops"
LUA = yaml.safe_load((GITOPS / "argocd-health.yaml").read_text())["data"]
FLUX = yaml.safe_load((GITOPS / "flux-health.yaml").read_text())["healthCheckExprs"]
TO_FLUX = {"Healthy": "Current", "Suspended": "Current", "Degraded": "Failed", "Progressing": "InProgress"}


def as_stored(kind: str, reported: dict[str, Any] | None, *, generation: int = 2) -> dict[str, Any]:
    """Return a resource as the API server stores it."""
    resource = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": "demo", "generation": generation},
    }
    return resource if reported is None else {**resource, "status": reported}


def argocd(resource: dict[str, Any]) -> str:
    """Return Argo CD's health; its message must not be empty."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    script = LUA[f"resource.customizations.health.mcq-operator.dev_{resource['kind']}"]
    lua.globals()["obj"] = lua.table_from(resource, recursive=True)
    health: Any = lua.execute(script)
    assert health["message"]
    return str(health["status"])


def flux(resource: dict[str, Any]) -> str:
    """Return Flux's status, from its expressions in the order of their evaluation."""
    [checks] = [each for each in FLUX if each["kind"] == resource["kind"]]
    assert checks["apiVersion"] == API_VERSION
    context = {"metadata": resource["metadata"], "status": resource.get("status", {})}
    for expression, meaning in (("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current")):
        if cel.evaluate(checks[expression], context):
            return meaning
    return "InProgress"


def of_solver(observed: ObservedSolver, outcome: str = "answered") -> dict[str, Any]:
    reported: ResourceStatus = status.of(
        solver(),
        observed=observed,
        verdict=CanaryVerdict(outcome=outcome),  # type: ignore[arg-type]
        inventory=[],
        replicas_digest="",
        template_digest="",
        now=NOON,
    )
    return reported.model_dump(by_alias=True, exclude_none=True)


ANSWERING = of_solver(ObservedSolver(deployment=deployment()))
REFUSED = ObservedSolver(
    deployment=deployment(), refused=[Refusal(ref=SERVICE.named("demo"), message="denied")]
)


@pytest.mark.parametrize(
    ("reported", "generation", "health"),
    [
        (None, 1, "Progressing"),
        (ANSWERING, 2, "Healthy"),
        (ANSWERING, 3, "Progressing"),
        (of_solver(ObservedSolver()), 2, "Progressing"),
        (of_solver(ObservedSolver(deployment=deployment(available=1))), 2, "Progressing"),
        (of_solver(ObservedSolver(deployment=deployment()), "pending"), 2, "Progressing"),
        (of_solver(ObservedSolver(deployment=deployment()), "failed"), 2, "Degraded"),
        (of_solver(REFUSED), 2, "Degraded"),
        (
            of_solver(
                ObservedSolver(deployment=deployment(desired=0, replicas=0, updated=0, ready=0, available=0))
            ),
            2,
            "Suspended",
        ),
        (
            status.invalid(solver(), problem="replicas: bad", condition="Ready", now=NOON).model_dump(
                by_alias=True
            ),
            2,
            "Degraded",
        ),
    ],
)
def test_a_solvers_health_is_what_its_conditions_say(
    reported: dict[str, Any] | None, generation: int, health: str
) -> None:
    resource = as_stored("MCQSolver", reported, generation=generation)
    assert (argocd(resource), flux(resource)) == (health, TO_FLUX[health])


def exam(**conditions: str) -> dict[str, Any]:
    """Return an exam's status; each condition is given as status/reason."""
    return {
        "observedGeneration": 2,
        "conditions": [
            {"type": kind, "status": state.split("/")[0], "reason": state.split("/")[1], "message": kind}
            for kind, state in conditions.items()
        ],
    }


GOOD = {"Degraded": "False/AsExpected"}


@pytest.mark.parametrize(
    ("reported", "health"),
    [
        (None, "Progressing"),
        (exam(**GOOD, Complete="False/Sitting", Passed="Unknown/NotSat"), "Progressing"),
        (exam(**GOOD, Complete="False/WaitingForSolver"), "Progressing"),
        (exam(**GOOD, Complete="False/Scheduled"), "Healthy"),
        (exam(**GOOD, Complete="True/Sat"), "Healthy"),
        (exam(**GOOD, Complete="True/Sat", Passed="True/Passed"), "Healthy"),
        (exam(**GOOD, Complete="True/Sat", Passed="False/Failed"), "Degraded"),
        (exam(**GOOD, Complete="True/Sat", Passed="Unknown/Inconclusive"), "Degraded"),
        (exam(Degraded="True/SittingFailed", Complete="False/SittingFailed"), "Degraded"),
    ],
)
def test_an_exams_health_is_what_its_conditions_say(reported: dict[str, Any] | None, health: str) -> None:
    resource = as_stored("MCQExam", reported)
    assert (argocd(resource), flux(resource)) == (health, TO_FLUX[health])
