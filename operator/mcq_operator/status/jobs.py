"""What the status of an exam, and of backups, reads from Jobs and their Pods."""

from collections.abc import Iterable
from typing import Any

from mcq_operator.models import Manifest

from .pods import containers

JOB_LABEL = "batch.kubernetes.io/job-name"


def running(job: Manifest) -> bool:
    """Whether it has not ended, well or not."""
    return condition(job, "Complete") is None and condition(job, "Failed") is None


def condition(job: Manifest, kind: str) -> dict[str, Any] | None:
    """The condition of this type, if it is True."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind and each["status"] == "True"), None)


def pods_of(job: str, pods: Iterable[Manifest]) -> list[Manifest]:
    """Those of the Job of this name."""
    return [pod for pod in pods if pod["metadata"].get("labels", {}).get(JOB_LABEL) == job]


def last_words(pods: Iterable[Manifest], job: str, *, container: str) -> str:
    """What the Pod of the Job that failed last said: our container in it, or else another, which is named."""
    ends = [
        (each["name"] == container, ended.get("finishedAt", ""), _words(each["name"], ended, container))
        for pod in pods_of(job, pods)
        for each in containers(pod)
        if (ended := each.get("state", {}).get("terminated")) and ended.get("exitCode")
    ]
    return max(ends, default=(False, "", ""))[2]


def _words(name: str, ended: dict[str, Any], ours: str) -> str:
    said = ended.get("message") or f"exit code {ended['exitCode']} ({ended.get('reason', 'no reason')})"
    return str(said) if name == ours else f"container {name}, which is not the operator's: {said}"
