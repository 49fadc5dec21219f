"""Pure functions from the observed state of the cluster to the status of a resource."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from mcq_operator.api import (
    GateStatus,
    LastExam,
    MCQExam,
    MCQSolver,
    ObjectRef,
    ObservedModel,
    Resource,
    ResourceStatus,
    SolverStatus,
    names,
)
from mcq_operator.api.kinds import SERVICE
from mcq_operator.api.observed import CanaryVerdict, Deployment, ObservedSolver

from . import exam, gate, gate_override, loaded_model, pending, rollback, threshold, watch
from .conditions import findings
from .events import events
from .finding import Finding, quoted
from .transitions import with_transition_times

__all__ = [
    "events",
    "exam",
    "failed",
    "gate",
    "gate_override",
    "invalid",
    "last_exam",
    "loaded_model",
    "of",
    "pending",
    "recorded_verdict",
    "rollback",
    "threshold",
    "watch",
]


def of(
    solver: MCQSolver,
    *,
    observed: ObservedSolver,
    verdict: CanaryVerdict,
    inventory: Iterable[ObjectRef],
    replicas_digest: str,
    template_digest: str,
    now: datetime,
    exams: Sequence[MCQExam] = (),
    change: GateStatus | None = None,
    identity: str = "",
    model: str | None = None,
    asks_for_key: bool = False,
    release: str = "",
    hold_reason: str = "",
    held: bool = False,
) -> SolverStatus:
    """Return the status of a solver for one observation of the cluster.

    Args:
        solver: the solver.
        observed: the observed state of its objects.
        verdict: the canary's verdict.
        inventory: the objects that the operator created for it.
        replicas_digest: the digest of the replicas that the spec asks for.
        template_digest: the digest of the replicas that should answer now.
        now: the time.
        exams: the solver's exams.
        change: the last change that has a gate.
        identity: the identity of the spec's model, image and way of answering.
        model: the model that the replicas in force should load; None for the spec's.
        asks_for_key: whether these replicas ask clients for an API key.
        release: the operator's release that these replicas belong to.
        hold_reason: why they don't belong to this operator's release yet; empty if they do.
        held: whether they are of an earlier spec or release, for whatever reason.

    """
    deployment = observed.deployment
    images = loaded_model.images(observed.pods)
    solver_findings = findings(
        solver,
        observed,
        verdict,
        change,
        model=model,
        asks_for_key=asks_for_key,
        hold_reason=hold_reason,
    )
    threshold_ready = threshold.finding(solver, exams, template_digest=template_digest, held=held)
    promoted = _promoted(solver, change, identity, answers=_answers(deployment, verdict))
    return SolverStatus(
        observed_generation=solver.metadata.generation,
        replicas=deployment.replicas if deployment else 0,
        ready_replicas=deployment.ready if deployment else 0,
        selector=names.selector(solver),
        url=names.url(solver),
        model=ObservedModel(uri=loaded_model.model(solver, observed.pods, fallback=model)),
        template_digest=template_digest,
        answering=_answering(solver, observed, verdict),
        promoted=promoted,
        previous=_previous(solver, change, promoted),
        gate=change,
        last_gate=gate_override.last_terms(solver, identity, holds=gate.holds(change)),
        override=gate_override.override(solver, change, now=now),
        image=min(images) if len(images) == 1 else "",
        release=release,
        exam=last_exam(exams, template_digest=template_digest),
        threshold=solver.status.threshold,
        conditions=with_transition_times(
            solver, [*solver_findings, *([threshold_ready] if threshold_ready else [])], now
        ),
        # Held replicas are not those that the spec asks for, so their failure says nothing about the spec.
        rollback=solver.status.rollback
        if held
        else rollback.decide(solver, observed, digest=replicas_digest, now=now),
        inventory=sorted(inventory, key=lambda ref: (ref.kind, ref.name)),
    )


def _promoted(solver: MCQSolver, change: GateStatus | None, identity: str, *, answers: bool) -> str:
    """Return the identity of the change that answers, or answers again; empty until the first replicas answer.

    A gate compares a change with the replicas of this identity. The first replicas may never answer.
    """
    if change is not None and watch.refused(change):
        return change.previous
    is_held = gate.holds(change) or not (solver.status.promoted or answers)
    return solver.status.promoted if is_held else identity


def _previous(solver: MCQSolver, change: GateStatus | None, promoted: str) -> str:
    """Return the identity that was promoted before, and had replicas that answered."""
    known = solver.status
    if promoted == known.promoted or not known.answering or watch.refused(change):
        return known.previous
    return known.promoted


def _answers(deployment: Deployment | None, verdict: CanaryVerdict) -> bool:
    """Return whether a replica of the newest revision answers, and there are none of an earlier one."""
    return deployment is not None and deployment.has_only_newest and verdict.outcome == "answered"


def _answering(solver: MCQSolver, observed: ObservedSolver, verdict: CanaryVerdict) -> bool:
    """Return whether an exam may ask: its questions and its API key go to the Service with the solver's name."""
    deployment = observed.deployment
    if any(ref.kind == SERVICE.kind for ref in observed.conflicts):
        return False
    return deployment is not None and deployment.rolled_out(solver) and verdict.outcome == "answered"


def last_exam(exams: Iterable[MCQExam], *, template_digest: str) -> LastExam | None:
    """Return the last completed exam of the replicas with this digest."""
    completed = [
        each
        for each in exams
        if each.status.is_true("Complete")
        and each.status.sat
        and each.status.template_digest == template_digest
    ]
    last = max(completed, key=lambda each: str(each.status.sat), default=None)
    if last is None or last.status.accuracy is None or last.status.ci95 is None or last.status.sat is None:
        return None
    status = last.status
    return LastExam(
        name=last.name, accuracy=status.accuracy, ci95=status.ci95, count=status.count or 0, sat=status.sat
    )


def invalid(resource: Resource, *, problem: str, condition: str, now: datetime) -> ResourceStatus:
    """Return the status of a resource with a stored spec that this release can't read.

    The operator leaves its objects as they are. `condition` is the type of the condition that becomes False.
    """
    message = f"This operator can't read the stored spec, so it changed nothing: {problem}"
    new_status = _with_problem(resource, Finding(condition, "False", "InvalidSpec", message), now)
    return new_status.model_copy(update={"observed_generation": resource.metadata.generation})


def failed(resource: Resource, *, problem: str, condition: str, now: datetime) -> ResourceStatus:
    """Return the status of a resource after a failed reconcile: its last status may be out of date.

    `condition` is the type of the condition that becomes Unknown.
    """
    message = (
        f"The operator could not finish the reconcile and tries again: {quoted(problem)} Its log says more."
    )
    return _with_problem(resource, Finding(condition, "Unknown", "ReconcileFailed", message), now)


def _with_problem(resource: Resource, finding: Finding, now: datetime) -> ResourceStatus:
    """Return the stored status with `finding` and Degraded in it."""
    degraded = Finding("Degraded", "True", finding.reason, finding.message)
    others = [item for item in resource.status.conditions if item.type not in {finding.type, degraded.type}]
    conditions = [*with_transition_times(resource, [finding, degraded], now), *others]
    return resource.status.model_copy(update={"conditions": conditions})


def recorded_verdict(solver: MCQSolver, verdict: CanaryVerdict) -> CanaryVerdict:
    """Return the recorded verdict instead of a pending one, if it is about this generation of the spec.

    After a restart the operator has lost the canary's answers. A solver that answered before stays Ready until the
    question fails again: a restart of the operator must not change a solver's status.
    """
    known = solver.status.answering and solver.status.observed_generation == solver.metadata.generation
    return CanaryVerdict(outcome="answered") if verdict.outcome == "pending" and known else verdict
