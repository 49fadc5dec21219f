"""Events for condition changes that a person should know about."""

from datetime import datetime

from mcq_operator.api import API_VERSION, Condition, Manifest, Resource, ResourceStatus
from mcq_operator.api.kinds import EVENT
from mcq_operator.api.names import OPERATOR_NAME

GOOD = {
    "Available": "True",
    "Ready": "True",
    "Degraded": "False",
    "ModelLoaded": "True",
    "ScalingReady": "True",
    "MonitoringReady": "True",
    "APIKeysReady": "True",
    "EscalationReady": "True",
    "Complete": "True",
    "Passed": "True",
    "ExamPassed": "True",
    "ThresholdReady": "True",
    "BackedUp": "True",
    "Exposed": "False",
}
"""The good status of each condition that gets Events. Progressing gets none: it changes with all the others."""
QUIET = frozenset(
    {
        *("NotSat", "Sitting", "Scheduled", "WaitingForSolver", "WaitingForBaseline"),
        *("NoChange", "NoBaseline", "CandidateStarting", "CandidateSitting"),
        *("ExamPending", "NotRolledOut"),
        "NotBackedUpYet",
        "Asking",
    }
)
"""Reasons without an Event: an exam, a backup or an answer is still to come."""
LONGEST_NOTE = 1024
"""Bytes. The API server accepts no more."""


def events(resource: Resource, new_status: ResourceStatus, *, now: datetime) -> list[Manifest]:
    """Return an Event for each condition that changed its status, or is bad for a new reason.

    A new condition gets an Event if it is bad, and not just in progress.
    """
    before = {condition.type: condition for condition in resource.status.conditions}
    changed = [
        item
        for item in new_status.conditions
        if item.type in GOOD and _is_newsworthy(item, before.get(item.type))
    ]
    return [_event(resource, condition, now=now) for condition in changed]


def _is_newsworthy(condition: Condition, before: Condition | None) -> bool:
    if condition.reason in QUIET:
        return False
    good = condition.status == GOOD[condition.type]
    if before is None:
        announced = {"Degraded", "MonitoringReady", "ScalingReady", "Exposed", "ExamPassed"}
        return not good and condition.type in announced
    if condition.status != before.status:
        return True
    return condition.type in {"Degraded", "ExamPassed"} and condition.reason != before.reason


def _event(resource: Resource, condition: Condition, *, now: datetime) -> Manifest:
    good = condition.status == GOOD[condition.type]
    note = f"{condition.type} is {condition.status}: {condition.message}"
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {
            "name": f"{resource.name}.{int(now.timestamp() * 1e6):x}.{condition.type.lower()}",
            "namespace": resource.namespace,
        },
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": "Normal" if good else "Warning",
        "reason": condition.reason,
        "action": "Reconcile",
        "note": note.encode()[:LONGEST_NOTE].decode(errors="ignore"),
        "reportingController": OPERATOR_NAME,
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": resource.KEY.KIND,
            "namespace": resource.namespace,
            "name": resource.name,
            "uid": resource.metadata.uid,
        },
    }
