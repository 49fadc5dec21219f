"""What several parts of the status read from a Pod."""

from mcq_operator.models import Manifest

CREATING = frozenset({"ContainerCreating", "PodInitializing"})
"""What a container waits for that has not been created yet."""


def leaving(pod: Manifest) -> bool:
    """Whether it was told to end."""
    return "deletionTimestamp" in pod["metadata"]


def containers(pod: Manifest) -> list[Manifest]:
    """What its containers are doing; those that run before the others, or beside them for good, come first."""
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def restarts(pod: Manifest) -> int:
    """How often the container of it that ended most often has ended."""
    return max((container.get("restartCount", 0) for container in containers(pod)), default=0)


def waiting(pod: Manifest) -> set[str]:
    """Why its containers don't run, in a word each."""
    reasons = (item.get("state", {}).get("waiting", {}).get("reason") for item in containers(pod))
    return {reason for reason in reasons if reason}
