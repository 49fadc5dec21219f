"""Helpers for the Jobs of exams and backups, and for their Pods."""

from collections.abc import Iterable
from typing import Any

from mcq_operator.api import Manifest

from .pods import containers

JOB_LABEL = "batch.kubernetes.io/job-name"


def running(job: Manifest) -> bool:
    """Return whether the Job has not ended yet."""
    return condition(job, "Complete") is None and condition(job, "Failed") is None


def condition(job: Manifest, kind: str) -> dict[str, Any] | None:
    """Return the Job's condition of this type, if it is True."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind and each["status"] == "True"), None)


def pods_of(job: str, pods: Iterable[Manifest]) -> list[Manifest]:
    """Return the Pods of the Job with this name."""
    return [pod for pod in pods if pod["metadata"].get("labels", {}).get(JOB_LABEL) == job]


def termination_message(pods: Iterable[Manifest], job: str, *, container: str) -> str:
    """Return the termination message of the Job's last failed Pod.

    The operator's container comes first. The message names any other container.
    """
    ends = [
        (
            each["name"] == container,
            ended.get("finishedAt", ""),
            _termination_message(each["name"], ended, container),
        )
        for pod in pods_of(job, pods)
        for each in containers(pod)
        if (ended := each.get("state", {}).get("terminated")) and ended.get("exitCode")
    ]
    return max(ends, default=(False, "", ""))[2]


def _termination_message(name: str, ended: dict[str, Any], container: str) -> str:
    message = ended.get("message") or f"exit code {ended['exitCode']} ({ended.get('reason', 'no reason')})"
    return (
        str(message) if name == container else f"container {name}, which the operator did not add: {message}"
    )
