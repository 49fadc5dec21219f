"""Events: what a person should hear of when a condition changes."""

from datetime import datetime

from mcq_operator.models import API_VERSION, Condition, Manifest, MCQSolver, SolverStatus
from mcq_operator.models.base import SOLVER_KIND
from mcq_operator.models.kinds import EVENT
from mcq_operator.models.names import OPERATOR_NAME

GOOD = {
    "Ready": "True",
    "Degraded": "False",
    "ModelLoaded": "True",
    "ScalingReady": "True",
    "MonitoringReady": "True",
}
"""The conditions whose changes are told, and how each should be; Progressing comes and goes with all of them."""
LONGEST_NOTE = 1024
"""Bytes, which is the API's own bound."""


def events(solver: MCQSolver, told: SolverStatus, *, now: datetime) -> list[Manifest]:
    """An Event for each condition whose status changed, or that is bad for another reason than before.

    A condition that is new is told of if it is bad for a reason: not while everything is only on its way.
    """
    before = {condition.type: condition for condition in solver.status.conditions}
    changed = [item for item in told.conditions if item.type in GOOD and _news(item, before.get(item.type))]
    return [_event(solver, condition, now=now) for condition in changed]


def _news(condition: Condition, before: Condition | None) -> bool:
    good = condition.status == GOOD[condition.type]
    if before is None:
        return not good and condition.type in {"Degraded", "MonitoringReady", "ScalingReady"}
    if condition.status != before.status:
        return True
    return condition.type == "Degraded" and condition.reason != before.reason


def _event(solver: MCQSolver, condition: Condition, *, now: datetime) -> Manifest:
    good = condition.status == GOOD[condition.type]
    note = f"{condition.type} is {condition.status}: {condition.message}"
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {
            "name": f"{solver.name}.{int(now.timestamp() * 1e6):x}.{condition.type.lower()}",
            "namespace": solver.namespace,
        },
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": "Normal" if good else "Warning",
        "reason": condition.reason,
        "action": "Reconcile",
        "note": note.encode()[:LONGEST_NOTE].decode(errors="ignore"),
        "reportingController": OPERATOR_NAME,
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": SOLVER_KIND,
            "namespace": solver.namespace,
            "name": solver.name,
            "uid": solver.metadata.uid,
        },
    }
