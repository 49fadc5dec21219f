"""Status: pure functions from what was observed to what is written."""

from collections.abc import Iterable
from datetime import datetime

from mcq_operator.models import Condition, MCQSolver, ObjectRef, ObservedModel, SolverStatus, names
from mcq_operator.models.observed import Observed, Verdict

from . import pending, rollback
from .conditions import Finding, findings
from .events import events

__all__ = ["canary_carried", "events", "invalid", "is_ready", "of", "pending", "rollback"]


def of(
    solver: MCQSolver,
    *,
    observed: Observed,
    verdict: Verdict,
    inventory: Iterable[ObjectRef],
    replicas_digest: str,
    now: datetime,
) -> SolverStatus:
    """The status of a solver after one look at the cluster.

    `replicas_digest` tells its spec's replicas from others.
    """
    deployment = observed.deployment
    return SolverStatus(
        observed_generation=solver.metadata.generation,
        replicas=deployment.replicas if deployment else 0,
        ready_replicas=deployment.ready if deployment else 0,
        selector=names.selector(solver),
        url=names.url(solver),
        model=ObservedModel(uri=_model(solver)),
        conditions=dated(solver, findings(solver, observed, verdict), now),
        rollback=rollback.decided(solver, observed, digest=replicas_digest, now=now),
        inventory=sorted(inventory, key=lambda ref: (ref.kind, ref.name)),
    )


def _model(solver: MCQSolver) -> str:
    openai = solver.spec.engine.openai
    return solver.spec.model.uri if openai is None else openai.model or openai.endpoint


def invalid(solver: MCQSolver, *, problem: str, now: datetime) -> SolverStatus:
    """The status of a solver whose stored spec this release can't read; its objects are left as they are."""
    message = f"The stored spec can't be read by this operator, so nothing was changed: {problem}"
    found = [
        Finding("Ready", "False", "InvalidSpec", message),
        Finding("Degraded", "True", "InvalidSpec", message),
    ]
    kept = [item for item in solver.status.conditions if item.type not in {"Ready", "Degraded"}]
    return solver.status.model_copy(
        update={
            "observed_generation": solver.metadata.generation,
            "conditions": [*dated(solver, found, now), *kept],
        }
    )


def dated(solver: MCQSolver, found: Iterable[Finding], now: datetime) -> list[Condition]:
    """Conditions with the time when each one's status last changed, which a new message does not move."""
    before = {condition.type: condition for condition in solver.status.conditions}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = []
    for finding in found:
        earlier = before.get(finding.type)
        unchanged = earlier is not None and earlier.status == finding.status and earlier.last_transition_time
        conditions.append(
            Condition(
                type=finding.type,
                status=finding.status,
                reason=finding.reason,
                message=finding.message,
                observed_generation=solver.metadata.generation,
                last_transition_time=earlier.last_transition_time if earlier and unchanged else stamp,
            )
        )
    return conditions


def canary_carried(solver: MCQSolver, verdict: Verdict) -> Verdict:
    """A pending verdict, or the recorded one where it is about this very spec.

    After its restart the operator has forgotten the canary's answers. A solver that was Ready stays Ready
    until the question, asked anew, fails: a restart of the operator is no event in a solver's life.
    """
    was_ready = any(
        condition.type == "Ready"
        and condition.status == "True"
        and condition.observed_generation == solver.metadata.generation
        for condition in solver.status.conditions
    )
    return Verdict(outcome="answered") if verdict.outcome == "pending" and was_ready else verdict


def is_ready(status: SolverStatus) -> bool:
    """Whether the Ready condition is True."""
    return any(condition.type == "Ready" and condition.status == "True" for condition in status.conditions)
