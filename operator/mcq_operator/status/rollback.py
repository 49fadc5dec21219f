"""When a roll-out is undone: its replicas don't start, while those of the revision before answer.

Which revisions there were, and what their replicas are, Kubernetes keeps in ReplicaSets; nothing is recorded but which
one was gone back to, so that the failed one isn't tried again.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from mcq_operator.models import Manifest, MCQSolver, Rollback, names
from mcq_operator.models.observed import Deployment, Observed

from .failures import Failure, pod_failures
from .pods import CREATING, present, restarts, waiting

RESTARTS = 3
"""A replica that ended this often on its own will not start."""
IMAGE_SECONDS = 60.0
"""How long an image that can't be pulled is waited for."""
REVISION = "deployment.kubernetes.io/revision"


def concerns(solver: MCQSolver, deployment: Deployment | None, pods: Iterable[Manifest]) -> bool:
    """Whether it has to be looked at: a roll-out that may have to be undone is under way, and something is wrong."""
    wanted = solver.spec.rollout.auto_rollback and solver.status.rollback is None
    if not wanted or deployment is None or not deployment.current or deployment.complete:
        return False
    return _late(deployment) is not None or any(map(_troubled, pods))


def decided(solver: MCQSolver, observed: Observed, *, digest: str, now: datetime) -> Rollback | None:
    """The roll-out to undo, if its replicas have failed and there is something to go back to.

    `digest` tells the spec's replicas from others.
    """
    if not concerns(solver, observed.deployment, observed.pods) or not observed.replica_sets:
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
    """The one whose replicas the Deployment asks for, if there is any."""
    return max(replica_sets, key=_revision, default=None)


def template(replica_set: Manifest) -> Manifest:
    """What the ReplicaSet's replicas are, as a Deployment's template."""
    found: Manifest = replica_set["spec"]["template"]
    metadata = found["metadata"]
    labels = {name: value for name, value in metadata["labels"].items() if name != names.POD_REVISION}
    kept = {"labels": labels}
    if annotations := metadata.get("annotations"):
        kept["annotations"] = annotations
    return {"metadata": kept, "spec": found["spec"]}


def _failures(solver: MCQSolver, observed: Observed, newest: Manifest, now: datetime) -> Iterator[Failure]:
    revision = newest["metadata"]["labels"].get(names.POD_REVISION)
    for pod in observed.pods:
        if pod["metadata"].get("labels", {}).get(names.POD_REVISION) == revision and _hopeless(pod, now):
            yield from pod_failures(solver, pod)
    late = _late(observed.deployment) if observed.deployment else None
    if late is not None:
        yield Failure(reason="ProgressDeadlineExceeded", message=late)


def _late(deployment: Deployment) -> str | None:
    """What is said of a roll-out that takes too long, or None."""
    told = deployment.conditions.get("Progressing", {})
    return told.get("message", "") if told.get("reason") == "ProgressDeadlineExceeded" else None


def _troubled(pod: Manifest) -> bool:
    """Whether it may be hopeless, or become so by its age alone."""
    return present(pod) and (bool(waiting(pod) - CREATING) or restarts(pod) > 0)


def _hopeless(pod: Manifest, now: datetime) -> bool:
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
