"""Status: pure functions from what was observed to what is written."""

from collections.abc import Iterable
from datetime import datetime

from mcq_operator.models import (
    GateStatus,
    MCQExam,
    MCQSolver,
    ObjectRef,
    ObservedModel,
    Resource,
    ResourceStatus,
    SatExam,
    SolverStatus,
    names,
)
from mcq_operator.models.kinds import SERVICE
from mcq_operator.models.observed import Observed, Verdict

from . import exam, gate, loaded, pending, rollback, waiver
from .conditions import findings
from .dating import dated
from .events import events
from .failures import quoted
from .finding import Finding

__all__ = [
    "canary_carried",
    "events",
    "exam",
    "failed",
    "gate",
    "invalid",
    "loaded",
    "of",
    "pending",
    "rollback",
    "sat",
    "waiver",
]


def of(
    solver: MCQSolver,
    *,
    observed: Observed,
    verdict: Verdict,
    inventory: Iterable[ObjectRef],
    replicas_digest: str,
    template_digest: str,
    now: datetime,
    exams: Iterable[MCQExam] = (),
    held: GateStatus | None = None,
    meant: str = "",
    model: str | None = None,
    release: str = "",
    held_back: str = "",
) -> SolverStatus:
    """The status of a solver after one look at the cluster.

    Args:
        solver: whose status.
        observed: what was seen.
        verdict: what became of the test question.
        inventory: what was made for it.
        replicas_digest: what tells its spec's replicas from others.
        template_digest: the same of the replicas that are to answer now.
        now: the time.
        exams: the exams that it sits.
        held: the last change that had to pass its gate.
        meant: what tells the spec's model, image and way of answering from others.
        model: what the replicas that are to answer now are told to load; left out, the spec's.
        release: the operator's release that those replicas are of.
        held_back: why they are not of this operator's release yet, if they are not.

    """
    deployment = observed.deployment
    images = loaded.images(observed.pods)
    return SolverStatus(
        observed_generation=solver.metadata.generation,
        replicas=deployment.replicas if deployment else 0,
        ready_replicas=deployment.ready if deployment else 0,
        selector=names.selector(solver),
        url=names.url(solver),
        model=ObservedModel(uri=loaded.model(solver, observed.pods, told=model)),
        template_digest=template_digest,
        answering=_answering(solver, observed, verdict),
        promoted=solver.status.promoted if gate.holds(held) else meant,
        gate=held,
        last_gate=waiver.last(solver, meant, held=gate.holds(held)),
        override=waiver.override(solver, held, now=now),
        image=min(images) if len(images) == 1 else "",
        release=release,
        exam=sat(exams),
        conditions=dated(
            solver, findings(solver, observed, verdict, held, model=model, held_back=held_back), now
        ),
        rollback=rollback.decided(solver, observed, digest=replicas_digest, now=now),
        inventory=sorted(inventory, key=lambda ref: (ref.kind, ref.name)),
    )


def _answering(solver: MCQSolver, observed: Observed, verdict: Verdict) -> bool:
    """Whether an exam may ask: its questions, and its API key, go to the Service of the solver's name."""
    deployment = observed.deployment
    if any(ref.kind == SERVICE.kind for ref in observed.conflicts):
        return False
    return deployment is not None and deployment.settled(solver) and verdict.outcome == "answered"


def sat(exams: Iterable[MCQExam]) -> SatExam | None:
    """The last exam of those that are of the present replicas."""
    sat = [each for each in exams if each.status.is_true("Complete") and each.status.sat]
    last = max(sat, key=lambda each: str(each.status.sat), default=None)
    if last is None or last.status.accuracy is None or last.status.ci95 is None or last.status.sat is None:
        return None
    found = last.status
    return SatExam(
        name=last.name, accuracy=found.accuracy, ci95=found.ci95, count=found.count or 0, sat=found.sat
    )


def invalid(resource: Resource, *, problem: str, bad: str, now: datetime) -> ResourceStatus:
    """The status of a resource whose stored spec this release can't read; its objects are left as they are.

    `bad` is the condition that is False then.
    """
    message = f"The stored spec can't be read by this operator, so nothing was changed: {problem}"
    told = _broken(resource, Finding(bad, "False", "InvalidSpec", message), now)
    return told.model_copy(update={"observed_generation": resource.metadata.generation})


def failed(resource: Resource, *, problem: str, bad: str, now: datetime) -> ResourceStatus:
    """The status of a resource that could not be looked at to the end: what it said before may not be so any more.

    `bad` is the condition that is Unknown then.
    """
    message = (
        f"The operator could not finish its work on it, and tries again: {quoted(problem)} Its log says more."
    )
    return _broken(resource, Finding(bad, "Unknown", "ReconcileFailed", message), now)


def _broken(resource: Resource, found: Finding, now: datetime) -> ResourceStatus:
    """The status as it is stored, but for `found` and Degraded."""
    degraded = Finding("Degraded", "True", found.reason, found.message)
    kept = [item for item in resource.status.conditions if item.type not in {found.type, degraded.type}]
    conditions = [*dated(resource, [found, degraded], now), *kept]
    return resource.status.model_copy(update={"conditions": conditions})


def canary_carried(solver: MCQSolver, verdict: Verdict) -> Verdict:
    """A pending verdict, or the recorded one where it is about this very spec.

    After its restart the operator has forgotten the canary's answers. A solver that was answering stays so until the
    question, asked anew, fails: a restart of the operator is no event in a solver's life.
    """
    known = solver.status.answering and solver.status.observed_generation == solver.metadata.generation
    return Verdict(outcome="answered") if verdict.outcome == "pending" and known else verdict
