"""Why replicas don't come up, in words: from the Pods' statuses and the Deployment's conditions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mcq_operator.models import Manifest, MCQSolver, ObjectRef, Rollback, names
from mcq_operator.models.kinds import HTTP_ROUTE, JOB, kind_named
from mcq_operator.models.observed import Deployment, Observed, Refusal, Rival, Warned, is_ready
from mcq_operator.models.replica import REPLICA_RESOURCES
from mcq_operator.models.text import one_line

from .pods import containers, predecessors, present

LONGEST_DETAIL = 1000
"""Characters of a container's or the server's own words that a message quotes."""

IMAGE = frozenset({"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName"})
"""What a container waits for that has no image."""
START = {
    "CreateContainerConfigError": "Something the Pod refers to is missing or not allowed.",
    "CreateContainerError": "The node could not create the container.",
    "RunContainerError": "The node could not start the container.",
}
"""What else keeps a container from starting, and what it means."""


@dataclass(frozen=True, kw_only=True)
class PodKind:
    """Pods of one purpose: our container in them, and what to change for them, by fields that their resource has.

    Attributes:
        container: the name of ours; every other one was put there by someone else.
        image: what to do where its image is missing.
        room: what to do where no node can take the Pod.

    """

    container: str
    image: str
    room: str


REPLICAS = PodKind(
    container=names.SERVICE_CONTAINER,
    image="Check spec.image, that the node reaches its registry, spec.imagePullPolicy and spec.imagePullSecrets.",
    room="Add room or lower spec.resources.requests; check spec.scheduling and the cache's claim.",
)

FOREIGN_IMAGE = "Whoever put the container into the Pod names its image: correct it there."
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
"""What the service's exit codes mean (docs/api.md); its last words say the rest."""

CREATION = (
    (
        "exceeded quota",
        "QuotaExceeded",
        "Raise the namespace's ResourceQuota, or ask for less in spec.resources.",
    ),
    (
        "failed quota",
        "QuotaExceeded",
        "Give `resources` what the namespace's ResourceQuota asks of every Pod.",
    ),
    (
        "violates PodSecurity",
        "PodSecurity",
        "Change what the spec asks for, or the namespace's Pod Security level.",
    ),
)
"""What the API server says where it refuses Pods, the reason that stands for it, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A reason in one word, and a message that says what to do."""

    reason: str
    message: str


def failure(solver: MCQSolver, observed: Observed) -> Failure | None:
    """The most telling failure, or None: what the user must resolve first comes first."""
    return next(_failures(solver, observed), None)


def _failures(solver: MCQSolver, observed: Observed) -> Iterator[Failure]:
    if solver.status.rollback is not None:
        yield _rolled_back(solver.status.rollback)
    yield from object_failures(observed.conflicts, observed.held, observed.refused, kind=solver.KEY.KIND)
    yield from map(_host_conflict, observed.rivals)
    if (absent := absence(observed, HTTP_ROUTE.kind)) is not None:
        yield Failure(reason="CRDNotInstalled", message=absent)
    if observed.deployment is not None:
        yield from _deployment_failures(observed.deployment)
    for pod in filter(present, observed.pods):
        yield from pod_failures(solver, pod)
        yield from _lost(solver, pod, observed.pods)
    if observed.warning is not None:
        yield warning_failure(observed.warning)


def object_failures(
    conflicts: Iterable[ObjectRef], held: Iterable[ObjectRef], refused: Iterable[Refusal], *, kind: str
) -> Iterator[Failure]:
    """Objects of a resource of this kind that are not as they should be."""
    waiting = ", ".join(f"{ref.kind} {ref.name}" for ref in held)
    holds = (
        f" Until then these are neither made nor changed, as they depend on it: {waiting}." if waiting else ""
    )
    for ref in conflicts:
        yield Failure(
            reason="Conflict",
            message=f"{ref.kind} {ref.name} exists and belongs to someone else, so it was left alone."
            f" Delete or rename it, or create this {kind} under another name.{holds}",
        )
    yield from map(_refusal_failure, refused)


def _host_conflict(rival: Rival) -> Failure:
    outcome = (
        "and is another namespace's, so this solver's way in was not applied."
        if rival.elsewhere
        else "and is older, so requests may reach that one."
    )
    return Failure(
        reason="HostConflict",
        message=f"{rival.ref} takes the requests of {rival.route} already, {outcome} Choose another host or path in"
        " spec.ingress or spec.gateway.",
    )


def _refusal_failure(refusal: Refusal) -> Failure:
    attempt, which = refusal.attempt, f"{refusal.ref.kind} {refusal.ref.name}"
    if refusal.temporary:
        return Failure(
            reason=f"{attempt.capitalize()}Failed",
            message=f"The API server could not {attempt} {which}: {quoted(refusal.message)} It is tried again; the"
            " other objects are not held up.",
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


def warning_failure(warned: Warned) -> Failure:
    """A Pod that its node can't start, or a Job for which no Pod can be created."""
    if warned.kind == JOB.kind:
        return _creation_failure(warned.message, otherwise=warned.reason, whose=f"for Job {warned.name} ")
    return Failure(
        reason=warned.reason,
        message=f"Pod {warned.name} can't start: {quoted(warned.message)} Make what it lacks, or correct the spec.",
    )


def _creation_failure(said: str, *, otherwise: str, whose: str = "") -> Failure:
    """Pods that the API server refuses to create; `otherwise` is the reason where its words are not known."""
    _, reason, advice = next(
        (entry for entry in CREATION if entry[0] in said), ("", otherwise, "Correct the spec.")
    )
    return Failure(reason=reason, message=f"Pods {whose}can't be created: {quoted(said)} {advice}")


def absence(observed: Observed, *kinds: str) -> str | None:
    """What to install for the first object of these kinds that the API server does not know, or None."""
    for ref in observed.absent:
        kind = kind_named(ref.api_version, ref.kind)
        if ref.kind in kinds and kind is not None:
            return f"The API server knows no {ref.kind} ({ref.api_version}): install {kind.provider}."
    return None


def _rolled_back(rollback: Rollback) -> Failure:
    return Failure(
        reason="RolledBack",
        message=f"The replicas of generation {rollback.generation} of the spec did not start, so those of"
        f" {rollback.replica_set} go on answering. {rollback.reason}: {rollback.message} Correct the spec: it is tried"
        " again once it asks for other replicas.",
    )


def _deployment_failures(deployment: Deployment) -> Iterator[Failure]:
    replica_failure = deployment.conditions.get("ReplicaFailure", {})
    if replica_failure.get("status") == "True":
        yield _creation_failure(replica_failure.get("message", ""), otherwise="ReplicaFailure")


def pod_failures(solver: MCQSolver, pod: Manifest) -> Iterator[Failure]:
    """What keeps one Pod from answering."""
    status = pod.get("status", {})
    name = pod["metadata"]["name"]
    yield from waiting_failures(pod, REPLICAS)
    for container in containers(pod):
        whose = _whose(container, REPLICAS)
        if container.get("ready") or _waits(container) in IMAGE | START.keys():
            continue
        if ended := _ended(container):
            yield _crash(solver, name, container, ended)
        elif _unready_again(status, container):
            yield Failure(
                reason="ProbeFailing",
                message=f"{whose}Pod {name} was ready, but now its readiness probe fails."
                f" See: kubectl describe pod -n {solver.namespace} {name}",
            )


def _lost(solver: MCQSolver, pod: Manifest, pods: Iterable[Manifest]) -> Iterator[Failure]:
    """Tell of a replica that is lost again and again; one that was lost once is replaced, which is no failure."""
    if is_ready(pod):
        return
    lost = list(predecessors(pod, pods))
    if len(lost) > 1:
        status, name = lost[0]["status"], lost[0]["metadata"]["name"]
        yield Failure(
            reason=status.get("reason") or "PodFailed",
            message=f"Pod {name} has failed, as the one before it: {quoted(status.get('message', ''))} Another takes"
            f" its place. See: kubectl describe pod -n {solver.namespace} {name}",
        )


def waiting_failures(pod: Manifest, kind: PodKind) -> Iterator[Failure]:
    """What keeps one Pod from starting."""
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
        if (reason := _waits(container)) in IMAGE | START.keys():
            whose = _whose(container, kind)
            advice = START.get(reason) or (FOREIGN_IMAGE if whose else kind.image)
            detail = quoted(container["state"]["waiting"].get("message", ""))
            yield Failure(reason=reason, message=f"{whose}Pod {name} can't start: {detail} {advice}")


def task_failures(pod: Manifest, kind: PodKind) -> Iterator[Failure]:
    """What keeps a Job's Pod from doing its work: it can't start, or a container beside ours ends again and again."""
    yield from waiting_failures(pod, kind)
    name = pod["metadata"]["name"]
    for container in containers(pod):
        if _waits(container) == "CrashLoopBackOff":
            ended = _ended(container) or {}
            said = quoted(ended.get("message", "")) or f"exit code {ended.get('exitCode', 'unknown')}."
            message = f"{_whose(container, kind)}Pod {name} crashes again and again: {said}"
            yield Failure(reason="Crashing", message=message)


def _whose(container: Manifest, kind: PodKind) -> str:
    """The beginning of a sentence about a Pod: nothing for our own container, the name of any other."""
    if container["name"] == kind.container:
        return ""
    return f"Container {container['name']}, which is not the operator's, of "


def _waits(container: dict[str, Any]) -> str:
    """Why it does not run, in a word."""
    return str(container.get("state", {}).get("waiting", {}).get("reason", ""))


def _unready_again(status: Manifest, container: dict[str, Any]) -> bool:
    """Whether the container answered once since its start, and does no more; one that starts is not meant."""
    started = container.get("state", {}).get("running", {}).get("startedAt")
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    changed = ready.get("lastTransitionTime")
    # Both in the API's own form of UTC, which sorts as time does.
    return bool(ready.get("status") == "False" and started and changed and changed > started)


def _ended(container: dict[str, Any]) -> dict[str, Any] | None:
    """How the container ended last, if not well: now, or before it was restarted."""
    for state in ("state", "lastState"):
        ended: dict[str, Any] | None = container.get(state, {}).get("terminated")
        if ended and ended.get("exitCode") != 0:
            return ended
    return None


def _crash(solver: MCQSolver, pod: str, container: Manifest, ended: dict[str, Any]) -> Failure:
    code = ended.get("exitCode", 0)
    said = quoted(ended.get("message", "")) or "It left no message."
    if whose := _whose(container, REPLICAS):
        # Its exit codes are not ours, and neither is its memory limit.
        oom = ended.get("reason") == "OOMKilled"
        what = "was killed for using more memory than its limit" if oom else "crashed"
        return Failure(
            reason="OutOfMemory" if oom else "Crashing",
            message=f"{whose}Pod {pod} {what}, exit code {code}: {said}"
            f" See: kubectl logs -n {solver.namespace} {pod} -c {container['name']} --previous",
        )
    if ended.get("reason") == "OOMKilled":
        limits = solver.spec.resources.over(REPLICA_RESOURCES).limits or {}
        return Failure(
            reason="OutOfMemory",
            message=f"Pod {pod} was killed for using more than {limits['memory']} of memory."
            " Raise spec.resources.limits.memory or choose a smaller model or spec.model.precision int8.",
        )
    return Failure(
        reason=EXITS.get(code, "Crashing"),
        message=f"Pod {pod} crashed, exit code {code}: {said}"
        f" See: kubectl logs -n {solver.namespace} {pod} -c {container['name']} --previous",
    )


def quoted(words: str) -> str:
    """Someone else's words, fit to be part of a sentence: one line, bounded, ending in a full stop."""
    line = one_line(words)
    if len(line) > LONGEST_DETAIL:
        # The end says most: a traceback's last line is the error.
        line = "…" + line[-LONGEST_DETAIL:]
    return line if not line or line.endswith((".", "!", "?")) else f"{line}."
