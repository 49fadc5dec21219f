"""Why replicas don't start, derived from the solver's status, its objects and their Pods."""

from collections.abc import Iterable, Iterator

from mcq_operator.api import MCQSolver, ObjectRef, Rollback, names
from mcq_operator.api.kinds import HTTP_ROUTE, JOB, kind_named
from mcq_operator.api.observed import Deployment, ObservedSolver, Refusal, Rival, WarningEvent

from .finding import Failure, Finding, quoted
from .pod_failures import pod_failures, repeated_failure
from .pods import present

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
"""For each kind of refusal of a Pod: text in the API server's message, the condition's reason, and advice."""


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
        yield from _deployment_failures(solver, observed.deployment)
    for pod in filter(present, observed.pods):
        yield from pod_failures(solver, pod)
        yield from repeated_failure(solver, pod, observed.pods)
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
        "from another namespace, so the operator did not apply this solver's route."
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


def not_applied(condition: str, observed: ObservedSolver, *kinds: str) -> Finding | None:
    """Return the condition if an object of these kinds could not be applied, or None."""
    for ref in (*observed.conflicts, *(refusal.ref for refusal in observed.refused)):
        if ref.kind in kinds:
            message = f"The {ref.kind} could not be applied; the Degraded condition says why."
            return Finding(condition, "False", "NotApplied", message)
    return None


def _rolled_back(rollback: Rollback) -> Failure:
    return Failure(
        reason="RolledBack",
        message=f"The replicas of generation {rollback.generation} of the spec did not start, so those of"
        f" {rollback.replica_set} go on answering. {rollback.reason}: {rollback.message} Correct the spec: the"
        " operator tries again when the spec asks for other replicas.",
    )


def _deployment_failures(solver: MCQSolver, deployment: Deployment) -> Iterator[Failure]:
    # Of the template in force: a gate, a rollback or an upgrade may keep replicas with another model than the spec's.
    uri = deployment.annotations.get(names.MODEL_ANNOTATION, "")
    if solver.spec.engine.openai is None and uri.startswith("oci://") and not deployment.image_volumes:
        # An API server without the feature gate drops such volumes without an error.
        yield Failure(
            reason="NoImageVolumes",
            message=f"The API server has dropped the volume of {uri}. Turn on the feature gate ImageVolume of the API"
            " server and the kubelets (on by default since Kubernetes 1.35), or choose another model.uri.",
        )
    replica_failure = deployment.conditions.get("ReplicaFailure", {})
    if replica_failure.get("status") == "True":
        yield _creation_failure(replica_failure.get("message", ""), otherwise="ReplicaFailure")
