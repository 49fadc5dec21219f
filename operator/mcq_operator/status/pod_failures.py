"""Why a Pod does not start or does not answer, derived from its status."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mcq_operator.api import Manifest, MCQSolver, names
from mcq_operator.api.observed import is_ready
from mcq_operator.api.replica import REPLICA_RESOURCES

from .finding import Failure, quoted
from .pods import containers, predecessors

IMAGE = frozenset({"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName"})
"""Waiting reasons of a container without an image."""
START = {
    "CreateContainerConfigError": "The Pod refers to an object that is missing or not allowed.",
    "CreateContainerError": "The node could not create the container.",
    "RunContainerError": "The node could not start the container.",
}
"""Other waiting reasons that keep a container from starting, and their meaning."""


@dataclass(frozen=True, kw_only=True)
class PodKind:
    """Pods with the same purpose: the name of the operator's container, and advice that fits their resource.

    Attributes:
        container: the operator's container; other tools added all others.
        image: advice if its image is missing.
        room: advice if no node can take the Pod.

    """

    container: str
    image: str
    room: str


REPLICAS = PodKind(
    container=names.SERVICE_CONTAINER,
    image="Check spec.image, spec.imagePullPolicy and spec.imagePullSecrets, and that the node reaches the registry.",
    room="Add room on a node, or lower spec.resources.requests; check spec.scheduling and the cache's claim.",
)

FOREIGN_IMAGE = "Correct the image in the tool that added the container to the Pod."
EXITS = {
    2: "BadSettings",
    3: "ModelUnreachable",
    4: "DigestMismatch",
    5: "NotEnoughSpace",
    6: "ConversionFailed",
    7: "CacheNotWritable",
    8: "ModelNotFound",
    9: "AccessDenied",
}
"""Reasons for the service's exit codes (docs/api.md). The termination message gives the details."""


def pod_failures(solver: MCQSolver, pod: Manifest) -> Iterator[Failure]:
    """Yield why a Pod does not answer."""
    status = pod.get("status", {})
    name = pod["metadata"]["name"]
    yield from waiting_failures(pod, REPLICAS)
    for container in containers(pod):
        prefix = _container_prefix(container, REPLICAS)
        if container.get("ready") or _waiting_reason(container) in IMAGE | START.keys():
            continue
        if terminated := _last_failure(container):
            yield _crash(solver, name, container, terminated)
        elif _became_unready(status, container):
            yield Failure(
                reason="ProbeFailing",
                message=f"{prefix}Pod {name} was ready, but now its readiness probe fails."
                f" See: kubectl describe pod -n {solver.namespace} {name}",
            )


def repeated_failure(solver: MCQSolver, pod: Manifest, pods: Iterable[Manifest]) -> Iterator[Failure]:
    """Yield a failure if replicas fail repeatedly. A single failed Pod is only replaced."""
    if is_ready(pod):
        return
    failed = list(predecessors(pod, pods))
    if len(failed) > 1:
        status, name = failed[0]["status"], failed[0]["metadata"]["name"]
        yield Failure(
            reason=status.get("reason") or "PodFailed",
            message=f"Pod {name} failed, like the one before it: {quoted(status.get('message', ''))} A new Pod"
            f" replaces it. See: kubectl describe pod -n {solver.namespace} {name}",
        )


def waiting_failures(pod: Manifest, kind: PodKind) -> Iterator[Failure]:
    """Yield why a Pod does not start."""
    status = pod.get("status", {})
    name = pod["metadata"]["name"]
    for condition in status.get("conditions", []):
        unschedulable = condition.get("reason") == "Unschedulable" and condition["status"] == "False"
        if condition["type"] == "PodScheduled" and unschedulable:
            yield Failure(
                reason="Unschedulable",
                message=f"No node can take Pod {name}: {quoted(condition.get('message', ''))} {kind.room}",
            )
    for container in containers(pod):
        if (reason := _waiting_reason(container)) in IMAGE | START.keys():
            prefix = _container_prefix(container, kind)
            advice = START.get(reason) or (FOREIGN_IMAGE if prefix else kind.image)
            detail = quoted(container["state"]["waiting"].get("message", ""))
            yield Failure(reason=reason, message=f"{prefix}Pod {name} can't start: {detail} {advice}")


def task_failures(pod: Manifest, kind: PodKind) -> Iterator[Failure]:
    """Yield why a Job's Pod makes no progress: it can't start, or another tool's container keeps crashing."""
    yield from waiting_failures(pod, kind)
    name = pod["metadata"]["name"]
    for container in containers(pod):
        if _waiting_reason(container) == "CrashLoopBackOff":
            terminated = _last_failure(container) or {}
            detail = (
                quoted(terminated.get("message", "")) or f"exit code {terminated.get('exitCode', 'unknown')}."
            )
            message = f"{_container_prefix(container, kind)}Pod {name} crashes again and again: {detail}"
            yield Failure(reason="Crashing", message=message)


def _container_prefix(container: Manifest, kind: PodKind) -> str:
    """Return the start of a sentence about a Pod: the container's name, empty for the operator's own."""
    if container["name"] == kind.container:
        return ""
    return f"Container {container['name']}, which the operator did not add, of "


def _waiting_reason(container: dict[str, Any]) -> str:
    """Return the reason that the container waits for, or an empty string."""
    return str(container.get("state", {}).get("waiting", {}).get("reason", ""))


def _became_unready(status: Manifest, container: dict[str, Any]) -> bool:
    """Return whether the container was ready since its start and no longer is. A starting one doesn't count."""
    started = container.get("state", {}).get("running", {}).get("startedAt")
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    changed = ready.get("lastTransitionTime")
    # Both are in the API's UTC format, which sorts by time.
    return bool(ready.get("status") == "False" and started and changed and changed > started)


def _last_failure(container: dict[str, Any]) -> dict[str, Any] | None:
    """Return the container's last termination with an exit code other than 0, of this run or the one before."""
    for state in ("state", "lastState"):
        terminated: dict[str, Any] | None = container.get(state, {}).get("terminated")
        if terminated and terminated.get("exitCode") != 0:
            return terminated
    return None


def _crash(solver: MCQSolver, pod: str, container: Manifest, terminated: dict[str, Any]) -> Failure:
    code = terminated.get("exitCode", 0)
    detail = quoted(terminated.get("message", "")) or "It left no message."
    if prefix := _container_prefix(container, REPLICAS):
        # The service's exit codes and the spec's memory limit don't apply to it.
        oom = terminated.get("reason") == "OOMKilled"
        outcome = "was killed for using more memory than its limit" if oom else "crashed"
        return Failure(
            reason="OutOfMemory" if oom else "Crashing",
            message=f"{prefix}Pod {pod} {outcome}, exit code {code}: {detail}"
            f" See: kubectl logs -n {solver.namespace} {pod} -c {container['name']} --previous",
        )
    if terminated.get("reason") == "OOMKilled":
        limits = solver.spec.resources.over(REPLICA_RESOURCES).limits or {}
        return Failure(
            reason="OutOfMemory",
            message=f"Pod {pod} was killed for using more than {limits['memory']} of memory."
            " Raise spec.resources.limits.memory or choose a smaller model or spec.model.precision int8.",
        )
    return Failure(
        reason=EXITS.get(code, "Crashing"),
        message=f"Pod {pod} crashed, exit code {code}: {detail}"
        f" See: kubectl logs -n {solver.namespace} {pod} -c {container['name']} --previous",
    )
