"""Why replicas don't start, derived from Pod statuses and Deployment conditions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mcq_operator.api import Manifest, MCQSolver, ObjectRef, Rollback, names
from mcq_operator.api.kinds import HTTP_ROUTE, JOB, kind_named
from mcq_operator.api.observed import Deployment, ObservedSolver, Refusal, Rival, WarningEvent, is_ready
from mcq_operator.api.replica import REPLICA_RESOURCES
from mcq_operator.api.text import one_line

from .pods import containers, predecessors, present

LONGEST_DETAIL = 1000
"""Characters that a message quotes from a container or the API server."""

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

CREATION = (
    (
        "exceeded quota",
        "QuotaExceeded",
        "Raise the namespace's ResourceQuota, or lower spec.resources.",
    ),
    (
        "failed quota",
        "QuotaExceeded",
        "Set in `resources` the requests and limits that the namespace's ResourceQuota requires of every Pod.",
    ),
    (
        "violates PodSecurity",
        "PodSecurity",
        "Change the spec, or the namespace's Pod Security level.",
    ),
)
"""Text in the API server's refusal of a Pod, the reason for it, and advice."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A reason, and a message that says what to do."""

    reason: str
    message: str


def failure(solver: MCQSolver, observed: ObservedSolver) -> Failure | None:
    """Return the most important failure, or None. The problem that the user must solve first comes first."""
    return next(_failures(solver, observed), None)


def _failures(solver: MCQSolver, observed: ObservedSolver) -> Iterator[Failure]:
    if solver.status.rollback is not None:
        yield _rolled_back(solver.status.rollback)
    yield from object_failures(observed.conflicts, observed.blocked, observed.refused, kind=solver.KEY.KIND)
    yield from map(_host_conflict, observed.rivals)
    if (absent := absence(observed, HTTP_ROUTE.kind)) is not None:
        yield Failure(reason="CRDNotInstalled", message=absent)
    if observed.deployment is not None:
        yield from _deployment_failures(observed.deployment)
    for pod in filter(present, observed.pods):
        yield from pod_failures(solver, pod)
        yield from _repeated_failure(solver, pod, observed.pods)
    if observed.warning is not None:
        yield warning_failure(observed.warning)


def object_failures(
    conflicts: Iterable[ObjectRef], blocked: Iterable[ObjectRef], refused: Iterable[Refusal], *, kind: str
) -> Iterator[Failure]:
    """Yield a failure for each object of the resource that could not be applied, deleted or read."""
    waiting = ", ".join(f"{ref.kind} {ref.name}" for ref in blocked)
    consequence = (
        f" Until then the operator does not apply the objects that depend on it: {waiting}."
        if waiting
        else ""
    )
    for ref in conflicts:
        yield Failure(
            reason="Conflict",
            message=f"{ref.kind} {ref.name} exists and does not belong to this {kind}, so the operator does not change"
            f" it. Delete or rename it, or create this {kind} under another name.{consequence}",
        )
    yield from map(_refusal_failure, refused)


def _host_conflict(rival: Rival) -> Failure:
    outcome = (
        "from another namespace, so the operator did not apply this solver's."
        if rival.elsewhere
        else "and is older, so requests may go to that one."
    )
    return Failure(
        reason="HostConflict",
        message=f"{rival.ref} already takes the requests of {rival.route} {outcome} Choose another host or path in"
        " spec.ingress or spec.gateway.",
    )


def _refusal_failure(refusal: Refusal) -> Failure:
    attempt, which = refusal.attempt, f"{refusal.ref.kind} {refusal.ref.name}"
    if refusal.temporary:
        return Failure(
            reason=f"{attempt.capitalize()}Failed",
            message=f"The API server could not {attempt} {which}: {quoted(refusal.message)} The operator tries again,"
            " and goes on with the other objects.",
        )
    advice = (
        "Correct the spec, or the policy that refuses it."
        if attempt == "apply"
        else "Correct the policy that refuses it, or the operator's permissions."
    )
    refused = f"refused {which}" if attempt == "apply" else f"refused to {attempt} {which}"
    return Failure(
        reason=f"{attempt.capitalize()}Refused",
        message=f"The API server {refused}: {quoted(refusal.message)} {advice}",
    )


def warning_failure(warned: WarningEvent) -> Failure:
    """Return the failure of a Pod that its node can't start, or of a Job that gets no Pod."""
    if warned.kind == JOB.kind:
        return _creation_failure(warned.message, otherwise=warned.reason, for_job=f"for Job {warned.name} ")
    return Failure(
        reason=warned.reason,
        message=f"Pod {warned.name} can't start: {quoted(warned.message)} Create the missing object, or correct the"
        " spec.",
    )


def _creation_failure(refusal: str, *, otherwise: str, for_job: str = "") -> Failure:
    """Return the failure of Pods that the API server refuses; `otherwise` is the reason of an unknown refusal."""
    _, reason, advice = next(
        (entry for entry in CREATION if entry[0] in refusal), ("", otherwise, "Correct the spec.")
    )
    return Failure(reason=reason, message=f"Pods {for_job}can't be created: {quoted(refusal)} {advice}")


def absence(observed: ObservedSolver, *kinds: str) -> str | None:
    """Return what to install for the first object of these kinds that the API server does not know, or None."""
    for ref in observed.absent:
        kind = kind_named(ref.api_version, ref.kind)
        if ref.kind in kinds and kind is not None:
            return f"The API server has no {ref.kind} ({ref.api_version}): install {kind.provider}."
    return None


def _rolled_back(rollback: Rollback) -> Failure:
    return Failure(
        reason="RolledBack",
        message=f"The replicas of generation {rollback.generation} of the spec did not start, so those of"
        f" {rollback.replica_set} go on answering. {rollback.reason}: {rollback.message} Correct the spec: the"
        " operator tries again when the spec asks for other replicas.",
    )


def _deployment_failures(deployment: Deployment) -> Iterator[Failure]:
    replica_failure = deployment.conditions.get("ReplicaFailure", {})
    if replica_failure.get("status") == "True":
        yield _creation_failure(replica_failure.get("message", ""), otherwise="ReplicaFailure")


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


def _repeated_failure(solver: MCQSolver, pod: Manifest, pods: Iterable[Manifest]) -> Iterator[Failure]:
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


def quoted(text: str) -> str:
    """Make text of another program fit for a sentence: one line, of limited length, with a full stop."""
    line = one_line(text)
    if len(line) > LONGEST_DETAIL:
        # Keep the end: a traceback's last line is the error.
        line = "…" + line[-LONGEST_DETAIL:]
    return line if not line or line.endswith((".", "!", "?")) else f"{line}."
