"""Why replicas don't come up, in words: from the Pods' statuses and the Deployment's conditions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mcq_operator.models import Manifest, MCQSolver
from mcq_operator.models.observed import Deployment, Observed

LONGEST_DETAIL = 1000
"""Characters of a container's or the server's own words that a message quotes."""

ADVICE = {
    "ImagePullBackOff": "Check spec.image, that the node reaches its registry, and spec.imagePullSecrets.",
    "ErrImagePull": "Check spec.image, that the node reaches its registry, and spec.imagePullSecrets.",
    "ErrImageNeverPull": "Load the image onto the node or set spec.imagePullPolicy to IfNotPresent.",
    "InvalidImageName": "Correct spec.image.",
    "CreateContainerConfigError": "Something the Pod refers to is missing or not allowed.",
    "CreateContainerError": "The node could not create the container.",
    "RunContainerError": "The node could not start the container.",
}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A reason in one word, and a message that says what to do."""

    reason: str
    message: str


def failure(solver: MCQSolver, observed: Observed) -> Failure | None:
    """The most telling failure, or None: what the user must resolve first comes first."""
    return next(_failures(solver, observed), None)


def _failures(solver: MCQSolver, observed: Observed) -> Iterator[Failure]:
    for ref in observed.conflicts:
        yield Failure(
            reason="Conflict",
            message=f"{ref.kind} {ref.name} exists and belongs to someone else, so it was left alone."
            f" Delete or rename it, or create this MCQSolver under another name.",
        )
    for refusal in observed.refused:
        yield Failure(
            reason="ApplyRefused",
            message=f"The API server refused {refusal.ref.kind} {refusal.ref.name}:"
            f" {quoted(refusal.message)} Correct the spec, or the policy that refuses it.",
        )
    if observed.deployment is not None:
        yield from _deployment_failures(observed.deployment)
    for pod in observed.pods:
        if "deletionTimestamp" not in pod["metadata"]:
            yield from _pod_failures(solver, pod)


def _deployment_failures(deployment: Deployment) -> Iterator[Failure]:
    replica_failure = deployment.conditions.get("ReplicaFailure", {})
    if replica_failure.get("status") == "True":
        yield Failure(
            reason="ReplicaFailure",
            message=f"Pods can't be created: {quoted(replica_failure.get('message', ''))}"
            " Adjust the namespace's quota or Pod Security level, or the spec.",
        )


def _pod_failures(solver: MCQSolver, pod: Manifest) -> Iterator[Failure]:
    status = pod.get("status", {})
    name = pod["metadata"]["name"]
    for condition in status.get("conditions", []):
        unschedulable = condition.get("reason") == "Unschedulable" and condition["status"] == "False"
        if condition["type"] == "PodScheduled" and unschedulable:
            yield Failure(
                reason="Unschedulable",
                message=f"No node can take Pod {name}: {quoted(condition.get('message', ''))}"
                " Add room or lower spec.resources.requests; check spec.scheduling and the cache's claim.",
            )
    for container in status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        if reason == "CrashLoopBackOff":
            yield _crash(solver, name, container)
        elif reason in ADVICE:
            detail = quoted(waiting.get("message", ""))
            yield Failure(reason=reason, message=f"Pod {name} can't start: {detail} {ADVICE[reason]}")


def _crash(solver: MCQSolver, pod: str, container: dict[str, Any]) -> Failure:
    ended = container.get("lastState", {}).get("terminated", {})
    if ended.get("reason") == "OOMKilled":
        limit = (solver.spec.resources.limits or {}).get("memory", "its memory limit")
        return Failure(
            reason="OutOfMemory",
            message=f"Pod {pod} was killed for using more than {limit} of memory."
            " Raise spec.resources.limits.memory or choose a smaller model or spec.model.precision int8.",
        )
    code = ended.get("exitCode", "unknown")
    said = quoted(ended.get("message", "")) or "It left no message."
    return Failure(
        reason="CrashLoopBackOff",
        message=f"Pod {pod} crashes again and again, exit code {code}: {said}"
        f" See: kubectl logs -n {solver.namespace} {pod} --previous",
    )


def quoted(words: str) -> str:
    """Someone else's words, fit to be part of a sentence: one line, bounded, ending in a full stop."""
    line = " ".join(words.split())
    if len(line) > LONGEST_DETAIL:
        # The end says most: a traceback's last line is the error.
        line = "…" + line[-LONGEST_DETAIL:]
    return line if not line or line.endswith((".", "!", "?")) else f"{line}."
