"""Conditions of a solver, computed from the observed state."""

from collections.abc import Sequence
from functools import partial

from mcq_operator.api import GateStatus, MCQSolver, names
from mcq_operator.api.kinds import PROMETHEUS_RULE, SERVICE_MONITOR
from mcq_operator.api.observed import CanaryVerdict, Deployment, ObservedSolver

from . import api_keys_ready, backup, escalation, exposure, gate, loaded_model, routes
from .failures import absence, failure, not_applied
from .finding import Failure, Finding, quoted

METRICS_ADVICE = (
    "Check that Prometheus scrapes the solver (spec.monitoring.serviceMonitor), and that the adapter that serves"
    " mcq_queue_depth to autoscalers runs."
)


def findings(
    solver: MCQSolver,
    observed: ObservedSolver,
    verdict: CanaryVerdict,
    change: GateStatus | None,
    *,
    asks_for_key: bool,
    model: str | None = None,
    hold_reason: str = "",
) -> list[Finding]:
    """Return every condition of a solver.

    `change` is the change that has a gate, and `model` the model of the replicas in force. `asks_for_key` says whether
    these ask for an API key, and `hold_reason` why they don't belong to this operator's release yet.
    """
    lost = gate.lost_replicas(solver, change)
    failed = lost or failure(solver, observed)
    rolling = progressing(solver, observed.deployment)
    if lost:
        rolling = Finding("Progressing", "False", lost.reason, lost.message)
    if hold_reason and rolling.reason == "Complete":
        rolling = Finding("Progressing", "False", "UpgradeHeldBack", hold_reason)
    keys_finding = api_keys_ready.finding(solver, observed)
    route_findings = routes.findings(solver, observed)
    all_findings = [
        ready(solver, observed, verdict, failed, rolling, keys_finding, change, route_findings),
        available(solver, observed, verdict, failed, keys_finding),
        rolling,
        degraded(solver, failed, observed.deployment, verdict, keys_finding, change),
        model_loaded(solver, observed, failed, model=model),
        scaling_ready(solver, observed),
        monitoring_ready(solver, observed),
        *route_findings,
        exposure.finding(solver, observed.deployment, asks_for_key=asks_for_key),
        keys_finding,
        gate.finding(solver, change, observed),
        escalation.finding(solver, observed),
        backup.finding(solver, observed),
    ]
    return [each for each in all_findings if each is not None]


def available(
    solver: MCQSolver,
    observed: ObservedSolver,
    verdict: CanaryVerdict,
    failed: Failure | None,
    keys_finding: Finding | None,
) -> Finding:
    """True while replicas answer clients, even if there are fewer of them, or older ones, than the spec asks for."""
    finding = partial(Finding, "Available")
    deployment = observed.deployment
    if deployment is None or deployment.available == 0:
        if deployment is not None and deployment.desired == 0:
            return finding(
                "False", "ScaledToZero", "The solver is scaled to zero, so it answers no questions."
            )
        reason = failed.reason if failed else "NoReplica"
        return finding("False", reason, "No replica is available, so the solver answers no questions.")
    if keys_finding is not None and keys_finding.reason == api_keys_ready.NONE:
        return finding("False", keys_finding.reason, keys_finding.message)
    if verdict.outcome == "failed":
        return finding("False", "CanaryFailed", f"A test question failed: {verdict.detail}")
    if verdict.outcome == "answered" or solver.status.is_true("Available"):
        return finding("True", "Answering", f"{deployment.available} replica(s) answer questions.")
    return finding(
        "Unknown", "CanaryPending", "Replicas are available but have not answered a test question yet."
    )


def ready(
    solver: MCQSolver,
    observed: ObservedSolver,
    verdict: CanaryVerdict,
    failed: Failure | None,
    rolling: Finding,
    keys_finding: Finding | None,
    change: GateStatus | None,
    route_findings: Sequence[Finding],
) -> Finding:
    """True if all that the spec asks for exists, a test question was answered, and clients can reach the solver."""
    deployment = observed.deployment
    if failed is not None:
        return Finding("Ready", "False", failed.reason, failed.message)
    if deployment is None or not (deployment.rolled_out(solver) or deployment.complete):
        return Finding("Ready", "False", rolling.reason, rolling.message)
    if deployment.desired == 0:
        message = "The solver is scaled to zero, so it answers no questions. Set spec.replicas to at least 1."
        return Finding("Ready", "False", "ScaledToZero", message)
    if keys_finding is not None and keys_finding.reason == api_keys_ready.NONE:
        return Finding("Ready", "False", keys_finding.reason, keys_finding.message)
    if verdict.outcome == "pending":
        message = "All replicas are available; the operator waits for the answer to a test question."
        return Finding("Ready", "False", "CanaryPending", message)
    if verdict.outcome == "failed":
        message = (
            f"All replicas are available but a test question failed: {verdict.detail} The operator asks again."
            f" See: kubectl logs -n {solver.namespace} deployment/{solver.name}"
        )
        return Finding("Ready", "False", "CanaryFailed", message)
    if change is not None and gate.holds(change):
        message = f"All replicas of the previous spec are available and answer questions. {change.message}"
        return Finding("Ready", "False", change.reason, message)
    for route_finding in route_findings:
        if route_finding.status != "True":
            message = f"All replicas are available and answer questions. {route_finding.message}"
            return Finding("Ready", "False", route_finding.reason, message)
    return Finding("Ready", "True", "Answering", "All replicas are available and answer questions.")


def progressing(solver: MCQSolver, deployment: Deployment | None) -> Finding:
    """True while a roll-out to the newest spec is under way."""
    true = partial(Finding, "Progressing", "True")
    if deployment is None:
        return true("Creating", "The Deployment has not been created yet.")
    if not deployment.current:
        return true("Observing", "The Deployment's controller has not observed its newest spec yet.")
    rolling = deployment.conditions.get("Progressing", {})
    if rolling.get("reason") == "ProgressDeadlineExceeded" and not deployment.complete:
        message = (
            f"{deployment.available} of {deployment.desired} replicas are available, and none became available before"
            f" the deadline. See: kubectl describe pods -n {solver.namespace} -l {names.selector(solver)}"
        )
        return Finding("Progressing", "False", "ProgressDeadlineExceeded", message)
    if deployment.updated < deployment.desired:
        message = f"{deployment.updated} of {deployment.desired} replicas run the newest spec."
        return true("RollingOut", message)
    if deployment.replicas > deployment.updated:
        old = deployment.replicas - deployment.updated
        return true("Replacing", f"{old} replica(s) of an older spec still run and will stop.")
    if deployment.available < deployment.desired:
        message = f"{deployment.available} of {deployment.desired} replicas are available."
        return true("Starting", message)
    return Finding("Progressing", "False", "Complete", "Every replica runs the newest spec.")


def degraded(
    solver: MCQSolver,
    failed: Failure | None,
    deployment: Deployment | None,
    verdict: CanaryVerdict,
    keys_finding: Finding | None,
    change: GateStatus | None,
) -> Finding:
    """True if there is a problem that waiting may not fix."""
    if failed is not None:
        return Finding("Degraded", "True", failed.reason, failed.message)
    if keys_finding is not None and keys_finding.status == "False":
        return Finding("Degraded", "True", keys_finding.reason, keys_finding.message)
    if deployment is not None and deployment.rolled_out(solver) and verdict.outcome == "failed":
        message = f"The replicas are ready but a test question failed: {verdict.detail}"
        return Finding("Degraded", "True", "CanaryFailed", message)
    if change is not None and change.phase in {"Refused", "Inconclusive"}:
        return Finding("Degraded", "True", change.reason, change.message)
    return Finding("Degraded", "False", "AsExpected", "The operator knows of no failure.")


def model_loaded(
    solver: MCQSolver, observed: ObservedSolver, failed: Failure | None, *, model: str | None
) -> Finding:
    """True if a replica has the model in memory. A replica is ready only after its first warm-up answer."""
    deployment = observed.deployment
    if deployment is not None and deployment.current and deployment.desired == 0:
        message = "The solver is scaled to zero, so no replica loads the model."
        return Finding("ModelLoaded", "Unknown", "ScaledToZero", message)
    if deployment is not None and deployment.ready > 0:
        return Finding("ModelLoaded", "True", "Loaded", _loaded(solver, observed, model))
    if failed is not None:
        return Finding(
            "ModelLoaded", "False", failed.reason, "No replica runs; the Degraded condition says why."
        )
    if observed.starting:
        return Finding("ModelLoaded", "False", "Loading", observed.starting)
    if solver.spec.engine.type == "OpenAI":
        progress = f"No replica has reached {solver.model_name} yet; replicas wait for it."
    else:
        progress = f"No replica has loaded {solver.model_name} yet; the first start fetches and converts it."
    message = f"{progress} Watch: kubectl logs -n {solver.namespace} deployment/{solver.name}"
    return Finding("ModelLoaded", "False", "Loading", message)


def _loaded(solver: MCQSolver, observed: ObservedSolver, fallback: str | None) -> str:
    """Name the model that the ready replicas have, and the spec's if that is another one."""
    model = loaded_model.model(solver, observed.pods, fallback=fallback)
    if model == solver.model_uri:
        return f"{solver.model_name} is loaded."
    return f"{model} is loaded; spec.model names {solver.model_uri}, which does not answer yet."


def scaling_ready(solver: MCQSolver, observed: ObservedSolver) -> Finding:
    """True if the spec or a working autoscaler sets the number of replicas."""
    if not solver.spec.autoscaling.enabled:
        return Finding("ScalingReady", "True", "Fixed", "spec.replicas sets the number of replicas.")
    absent = absence(observed, "HorizontalPodAutoscaler", "ScaledObject")
    if absent is not None:
        message = f"{absent} Until then spec.replicas sets the number of replicas: {solver.spec.replicas}."
        return Finding("ScalingReady", "False", "CRDNotInstalled", message)
    if observed.scaler is None:
        return Finding("ScalingReady", "False", "Creating", "The autoscaler has not been created yet.")
    status_conditions = observed.scaler.get("status", {}).get("conditions", [])
    conditions = {condition["type"]: condition for condition in status_conditions}
    for kind in ("Ready",) if observed.scaler["kind"] == "ScaledObject" else ("AbleToScale", "ScalingActive"):
        condition = conditions.get(kind)
        if condition is None:
            message = "The autoscaler's controller has not reported a status yet."
            return Finding("ScalingReady", "Unknown", "Observing", message)
        if condition["status"] != "True":
            message = f"The autoscaler can't work: {quoted(condition.get('message', ''))} {METRICS_ADVICE}"
            return Finding("ScalingReady", "False", condition.get("reason") or "NotReady", message)
    return Finding("ScalingReady", "True", "Autoscaling", "The autoscaler sets the number of replicas.")


def monitoring_ready(solver: MCQSolver, observed: ObservedSolver) -> Finding:
    """True if the objects for monitoring that the spec asks for exist."""
    monitoring = solver.spec.monitoring
    if monitoring.service_monitor.enabled is False and monitoring.alerts.enabled is False:
        return Finding("MonitoringReady", "True", "NotWanted", "The spec asks for no monitoring.")
    kinds = (SERVICE_MONITOR.kind, PROMETHEUS_RULE.kind)
    absent = absence(observed, *kinds)
    if absent is not None:
        return Finding("MonitoringReady", "False", "CRDNotInstalled", absent)
    if (problem := not_applied("MonitoringReady", observed, *kinds)) is not None:
        return problem
    if not observed.monitored:
        message = (
            "The cluster has no prometheus-operator, so Prometheus must discover the replicas in another way."
        )
        return Finding("MonitoringReady", "True", "NotInstalled", message)
    return Finding(
        "MonitoringReady", "True", "Applied", "All monitoring objects that the spec asks for exist."
    )
