"""Events: what a person should hear of when a condition changes."""

from datetime import datetime

from mcq_operator.models import API_VERSION, Condition, Manifest, Resource, ResourceStatus
from mcq_operator.models.kinds import EVENT
from mcq_operator.models.names import OPERATOR_NAME

GOOD = {
    "Available": "True",
    "Ready": "True",
    "Degraded": "False",
    "ModelLoaded": "True",
    "ScalingReady": "True",
    "MonitoringReady": "True",
    "APIKeysReady": "True",
    "Complete": "True",
    "Passed": "True",
    "ExamPassed": "True",
    "BackedUp": "True",
    "Exposed": "False",
}
"""The conditions whose changes are told, and how each should be; Progressing comes and goes with all of them."""
QUIET = frozenset(
    {
        *("NotSat", "Sitting", "Scheduled", "WaitingForSolver", "WaitingForBaseline"),
        *("NoChange", "NoBaseline", "CandidateStarting", "CandidateSitting"),
        "NotBackedUpYet",
        "Asking",
    }
)
"""An exam that is to be sat yet is no news, nor is a backup that is to be made, or a replica that has not answered."""
LONGEST_NOTE = 1024
"""Bytes, which is the API's own bound."""


def events(resource: Resource, told: ResourceStatus, *, now: datetime) -> list[Manifest]:
    """An Event for each condition whose status changed, or that is bad for another reason than before.

    A condition that is new is told of if it is bad for a reason: not while everything is only on its way.
    """
    before = {condition.type: condition for condition in resource.status.conditions}
    changed = [item for item in told.conditions if item.type in GOOD and _news(item, before.get(item.type))]
    return [_event(resource, condition, now=now) for condition in changed]


def _news(condition: Condition, before: Condition | None) -> bool:
    if condition.reason in QUIET:
        return False
    good = condition.status == GOOD[condition.type]
    if before is None:
        told = {"Degraded", "MonitoringReady", "ScalingReady", "Exposed", "ExamPassed"}
        return not good and condition.type in told
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
