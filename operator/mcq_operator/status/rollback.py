"""The decision to undo a roll-out: its replicas don't start while those of the previous revision answer.

Kubernetes keeps the revisions and their templates in ReplicaSets. The status records only which one the operator went
back to, so that it doesn't try the failed one again.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from mcq_operator.api import Manifest, MCQSolver, Rollback, names
from mcq_operator.api.observed import Deployment, ObservedSolver

from .finding import Failure
from .pod_failures import pod_failures
from .pods import CREATING, present, restarts, waiting

RESTARTS = 3
"""A replica that crashed this often will not start."""
IMAGE_SECONDS = 60.0
"""How long a failing image pull is tolerated."""
REVISION = "deployment.kubernetes.io/revision"


def needs_replica_sets(solver: MCQSolver, deployment: Deployment | None, pods: Iterable[Manifest]) -> bool:
    """Return whether `decide` needs the ReplicaSets: a roll-out may be undone and has a problem."""
    enabled = solver.spec.rollout.auto_rollback and solver.status.rollback is None
    if not enabled or deployment is None or not deployment.current or deployment.complete:
        return False
    return _late(deployment) is not None or any(map(_has_problem, pods))


def decide(solver: MCQSolver, observed: ObservedSolver, *, digest: str, now: datetime) -> Rollback | None:
    """Return the rollback, if the roll-out has failed and an earlier revision is available.

    `digest` identifies the replicas that the spec asks for.
    """
    if not needs_replica_sets(solver, observed.deployment, observed.pods) or not observed.replica_sets:
        return solver.status.rollback
    newest, *earlier = sorted(observed.replica_sets, key=_revision, reverse=True)
    good = next((each for each in earlier if _available(each)), None)
    if good is None:
        return None
    failed = next(_failures(solver, observed, newest, now), None)
    if failed is None:
        return None
    return Rollback(
        generation=solver.metadata.generation,
        digest=digest,
        replica_set=good["metadata"]["name"],
        reason=failed.reason,
        message=failed.message,
    )


def newest(replica_sets: Iterable[Manifest]) -> Manifest | None:
    """Return the ReplicaSet of the newest revision, or None."""
    return max(replica_sets, key=_revision, default=None)


def template(replica_set: Manifest) -> Manifest:
    """Return the Pod template of a ReplicaSet in the form of a Deployment's."""
    pod_template: Manifest = replica_set["spec"]["template"]
    metadata = pod_template["metadata"]
    labels = {name: value for name, value in metadata["labels"].items() if name != names.POD_REVISION}
    kept_metadata = {"labels": labels}
    if annotations := metadata.get("annotations"):
        kept_metadata["annotations"] = annotations
    return {"metadata": kept_metadata, "spec": pod_template["spec"]}


def _failures(
    solver: MCQSolver, observed: ObservedSolver, newest: Manifest, now: datetime
) -> Iterator[Failure]:
    revision = newest["metadata"]["labels"].get(names.POD_REVISION)
    for pod in observed.pods:
        if pod["metadata"].get("labels", {}).get(names.POD_REVISION) == revision and _has_failed(pod, now):
            yield from pod_failures(solver, pod)
    late = _late(observed.deployment) if observed.deployment else None
    if late is not None:
        yield Failure(reason="ProgressDeadlineExceeded", message=late)


def _late(deployment: Deployment) -> str | None:
    """Return the Deployment's message if it exceeded its progress deadline, or None."""
    condition = deployment.conditions.get("Progressing", {})
    return condition.get("message", "") if condition.get("reason") == "ProgressDeadlineExceeded" else None


def _has_problem(pod: Manifest) -> bool:
    """Return whether the Pod has a problem, which may become final by time alone."""
    return present(pod) and (bool(waiting(pod) - CREATING) or restarts(pod) > 0)


def _has_failed(pod: Manifest, now: datetime) -> bool:
    reasons = waiting(pod)
    age = now - datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return present(pod) and (
        restarts(pod) >= RESTARTS
        or not reasons.isdisjoint({"InvalidImageName", "ErrImageNeverPull"})
        or (
            not reasons.isdisjoint({"ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError"})
            and age.total_seconds() >= IMAGE_SECONDS
        )
    )


def _revision(replica_set: Manifest) -> int:
    return int(replica_set["metadata"].get("annotations", {}).get(REVISION, 0))


def _available(replica_set: Manifest) -> bool:
    return bool(replica_set.get("status", {}).get("availableReplicas", 0))
