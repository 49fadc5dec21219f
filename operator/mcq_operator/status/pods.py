"""Helpers that read a Pod's status."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from mcq_operator.api import Manifest

CREATING = frozenset({"ContainerCreating", "PodInitializing"})
"""Waiting reasons of a container that does not exist yet."""
REPLACED_WITHIN = timedelta(minutes=1)
"""How soon a new Pod follows a failed one that it replaces: a ReplicaSet creates it at once."""


def containers(pod: Manifest) -> list[Manifest]:
    """Return the statuses of the Pod's containers, init containers and sidecars first."""
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def present(pod: Manifest) -> bool:
    """Return whether the Pod should be running, so that its problems matter now.

    A Pod that has ended, for example by eviction, is replaced by its controller.
    """
    ended = pod.get("status", {}).get("phase") in {"Failed", "Succeeded"}
    return not ended and "deletionTimestamp" not in pod["metadata"]


def predecessors(pod: Manifest, pods: Iterable[Manifest]) -> Iterator[Manifest]:
    """Yield the failed Pod that this one replaces, then that Pod's own predecessor, and so on."""
    failed = sorted((each for each in pods if _failed(each)), key=_end_time, reverse=True)
    successor = pod
    for each in failed:
        if timedelta() <= _created(successor) - _end_time(each) <= REPLACED_WITHIN:
            yield each
            successor = each


def restarts(pod: Manifest) -> int:
    """Return the highest restart count of the Pod's containers."""
    return max((container.get("restartCount", 0) for container in containers(pod)), default=0)


def waiting(pod: Manifest) -> set[str]:
    """Return the waiting reasons of the Pod's containers."""
    reasons = (item.get("state", {}).get("waiting", {}).get("reason") for item in containers(pod))
    return {reason for reason in reasons if reason}


def _failed(pod: Manifest) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Failed")


def _created(pod: Manifest) -> datetime:
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"])


def _end_time(pod: Manifest) -> datetime:
    """Return the last time in the Pod's status, which is about when it ended."""
    times = [condition.get("lastTransitionTime") for condition in pod["status"].get("conditions", [])]
    times += [item.get("state", {}).get("terminated", {}).get("finishedAt") for item in containers(pod)]
    return max([datetime.fromisoformat(time) for time in times if time], default=_created(pod))
