"""What several parts of the status read from a Pod."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from mcq_operator.models import Manifest

CREATING = frozenset({"ContainerCreating", "PodInitializing"})
"""What a container waits for that has not been created yet."""
REPLACED_WITHIN = timedelta(minutes=1)
"""A ReplicaSet makes another Pod as soon as it sees that one has failed."""


def leaving(pod: Manifest) -> bool:
    """Whether it was told to end."""
    return "deletionTimestamp" in pod["metadata"]


def containers(pod: Manifest) -> list[Manifest]:
    """What its containers are doing; those that run before the others, or beside them for good, come first."""
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def over(pod: Manifest) -> bool:
    """Whether it has ended for good, as an evicted one has: whoever made it makes another instead."""
    return pod.get("status", {}).get("phase") in {"Failed", "Succeeded"}


def present(pod: Manifest) -> bool:
    """Whether it is meant to run, so that what is wrong with it is wrong now."""
    return not leaving(pod) and not over(pod)


def predecessors(pod: Manifest, pods: Iterable[Manifest]) -> Iterator[Manifest]:
    """Yield the Pod that failed and that this one was made instead of, then the one before that, and so on."""
    failed = sorted((each for each in pods if _failed(each)), key=_ended, reverse=True)
    successor = pod
    for each in failed:
        if timedelta() <= _made(successor) - _ended(each) <= REPLACED_WITHIN:
            yield each
            successor = each


def restarts(pod: Manifest) -> int:
    """How often the container of it that ended most often has ended."""
    return max((container.get("restartCount", 0) for container in containers(pod)), default=0)


def waiting(pod: Manifest) -> set[str]:
    """Why its containers don't run, in a word each."""
    reasons = (item.get("state", {}).get("waiting", {}).get("reason") for item in containers(pod))
    return {reason for reason in reasons if reason}


def _failed(pod: Manifest) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Failed")


def _made(pod: Manifest) -> datetime:
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"])


def _ended(pod: Manifest) -> datetime:
    """When it ended, as far as its status tells: the last time in it."""
    told = [condition.get("lastTransitionTime") for condition in pod["status"].get("conditions", [])]
    told += [item.get("state", {}).get("terminated", {}).get("finishedAt") for item in containers(pod)]
    return max([datetime.fromisoformat(time) for time in told if time], default=_made(pod))
