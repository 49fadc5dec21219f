"""Conditions: arithmetic over what was observed."""

from dataclasses import dataclass
from typing import Literal

from mcq_operator.models import MCQSolver, names
from mcq_operator.models.observed import Deployment, Observed, Verdict

from .failures import Failure, failure

State = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class Finding:
    """A condition before it is dated."""

    type: str
    status: State
    reason: str
    message: str


def findings(solver: MCQSolver, observed: Observed, verdict: Verdict) -> list[Finding]:
    """Every condition of a solver."""
    failed = failure(solver, observed)
    rolling = progressing(solver, observed.deployment)
    return [
        ready(solver, observed, verdict, failed, rolling),
        rolling,
        degraded(failed, observed.deployment, verdict),
        model_loaded(solver, observed.deployment, failed),
    ]


def ready(
    solver: MCQSolver, observed: Observed, verdict: Verdict, failed: Failure | None, rolling: Finding
) -> Finding:
    """True only when all that is asked for is there and a question was really answered."""
    deployment = observed.deployment
    if failed is not None:
        return Finding("Ready", "False", failed.reason, failed.message)
    if deployment is None or not deployment.complete:
        return Finding("Ready", "False", rolling.reason, rolling.message)
    if solver.spec.replicas == 0:
        message = "No replica is wanted, so no question can be answered. Set spec.replicas to at least 1."
        return Finding("Ready", "False", "ScaledToZero", message)
    if verdict.outcome == "pending":
        message = "All replicas are available; waiting for the answer to a test question."
        return Finding("Ready", "False", "CanaryPending", message)
    if verdict.outcome == "failed":
        return Finding("Ready", "False", "CanaryFailed", _canary_message(solver, verdict))
    return Finding("Ready", "True", "Answering", "All replicas are available and answer questions.")


def progressing(solver: MCQSolver, deployment: Deployment | None) -> Finding:
    """True while replicas are on their way to the newest spec."""

    def true(reason: str, message: str) -> Finding:
        return Finding("Progressing", "True", reason, message)

    if deployment is None:
        return true("Creating", "The Deployment has not been created yet.")
    if not deployment.current:
        return true("Observing", "The Deployment's newest spec has not been seen by its controller yet.")
    stalled = deployment.conditions.get("Progressing", {})
    if stalled.get("reason") == "ProgressDeadlineExceeded" and not deployment.complete:
        message = (
            f"{deployment.available} of {deployment.wanted} replicas are available, none was added for too"
            f" long. See: kubectl describe pods -n {solver.namespace} -l {names.selector(solver)}"
        )
        return Finding("Progressing", "False", "ProgressDeadlineExceeded", message)
    if deployment.updated < deployment.wanted:
        message = f"{deployment.updated} of {deployment.wanted} replicas run the newest spec."
        return true("RollingOut", message)
    if deployment.replicas > deployment.updated:
        old = deployment.replicas - deployment.updated
        return true("Replacing", f"{old} replica(s) of an older spec are still to be stopped.")
    if deployment.available < deployment.wanted:
        message = f"{deployment.available} of {deployment.wanted} replicas are available."
        return true("Starting", message)
    return Finding("Progressing", "False", "Complete", "Every wanted replica runs the newest spec.")


def degraded(failed: Failure | None, deployment: Deployment | None, verdict: Verdict) -> Finding:
    """True when something is wrong that waiting alone may not mend."""
    if failed is not None:
        return Finding("Degraded", "True", failed.reason, failed.message)
    if deployment is not None and deployment.complete and verdict.outcome == "failed":
        message = f"Replicas say they are ready but a test question failed: {verdict.detail}"
        return Finding("Degraded", "True", "CanaryFailed", message)
    return Finding("Degraded", "False", "AsExpected", "No failure is known.")


def model_loaded(solver: MCQSolver, deployment: Deployment | None, failed: Failure | None) -> Finding:
    """Whether a replica has the model in memory: a replica is ready only after its first warm-up answer."""
    if solver.spec.replicas == 0:
        return Finding(
            "ModelLoaded", "Unknown", "ScaledToZero", "No replica is wanted, so none loads the model."
        )
    if deployment is not None and deployment.ready > 0:
        return Finding("ModelLoaded", "True", "Loaded", f"{solver.model_name} is loaded.")
    if failed is not None:
        return Finding(
            "ModelLoaded", "False", failed.reason, "No replica runs; the Degraded condition says why."
        )
    if solver.spec.engine.type == "OpenAI":
        happening = f"No replica has reached {solver.model_name} yet; replicas wait for it."
    else:
        happening = f"No replica has loaded {solver.model_name} yet; the first start fetches and converts it."
    message = f"{happening} Watch: kubectl logs -n {solver.namespace} deployment/{solver.name}"
    return Finding("ModelLoaded", "False", "Loading", message)


def _canary_message(solver: MCQSolver, verdict: Verdict) -> str:
    return (
        f"All replicas are available but a test question failed: {verdict.detail}"
        f" It is asked again. See: kubectl logs -n {solver.namespace} deployment/{solver.name}"
    )
