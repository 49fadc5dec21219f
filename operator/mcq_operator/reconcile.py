"""One function for create, update, resume and drift: look, want, apply, prune, tell."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from . import desired, status
from .canary import Canaries
from .kube import Applied, Children, Cluster, InvalidSpecError
from .models import Manifest, MCQSolver, ObjectRef, SolverKey, SolverStatus
from .models.kinds import AUTOSCALER, DEPLOYMENT, INGRESS, SCALED_OBJECT, kind_named
from .models.observed import Deployment, NodeWarning, Observed
from .startup import Startups

REFUSED_RETRY_SECONDS = 30.0
"""A quota, a policy or another's Ingress may change without an event that the operator sees."""
UNDO_SECONDS = 15.0
"""Whether replicas of a roll-out will not start, time alone may tell."""


class Outcome(StrEnum):
    """How a reconcile ended; failures are exceptions."""

    GONE = "gone"
    INVALID = "invalid"
    READY = "ready"
    NOT_READY = "not_ready"


@dataclass(frozen=True, kw_only=True)
class Result:
    """An outcome, the status that was told, and in how many seconds to look again if no event comes first."""

    outcome: Outcome
    told: SolverStatus | None = None
    look_again_in: float | None = None


async def reconcile(
    key: SolverKey,
    *,
    cluster: Cluster,
    canaries: Canaries,
    startups: Startups,
    service_image: str,
    now: Callable[[], datetime],
) -> Result:
    """Make the cluster what the solver says, as far as it differs, and the solver's status what is so.

    Raises ClusterError where another try may help.
    """
    try:
        solver = await cluster.solver(key)
    except InvalidSpecError as error:
        told = status.invalid(error.solver, problem=str(error), now=now())
        await cluster.write_status(error.solver, told)
        return Result(outcome=Outcome.INVALID, told=told)
    if solver is None or solver.deleting:
        return _gone(key, canaries, startups)
    template = desired.template(solver, service_image=service_image)
    digest = desired.digest(template)
    stored = solver
    solver, earlier = await _undone(stored, cluster, digest=digest)
    objects = desired.objects(
        solver, service_image=service_image, absent=cluster.absent, pods=earlier or template
    )
    wanted = {desired.reference(item): item for item in objects}
    possible = {*desired.possible(solver), *solver.status.inventory}
    found = await cluster.children(solver, possible, wanted=wanted)
    if wanted.keys() - found.live.keys() and not await cluster.still_has(solver):
        # What is missing has gone with the solver, and is not to be made again.
        return _gone(key, canaries, startups)
    applied = await cluster.apply(solver, wanted, found)
    leaving = await cluster.prune(solver, found, keep=wanted)
    observed = await _observed(solver, cluster, applied, found, startups, now())
    verdict = canaries.verdict(solver, observed.deployment, observed.pods)
    told = status.of(
        solver,
        observed=observed,
        verdict=status.canary_carried(solver, verdict),
        inventory={*applied.live, *leaving, *_unknown(solver)},
        replicas_digest=digest,
        now=now(),
    )
    if await cluster.write_status(stored, told):
        for event in status.events(stored, told, now=now()):
            await cluster.tell(solver, event)
    return Result(
        outcome=Outcome.READY if status.is_ready(told) else Outcome.NOT_READY,
        told=told,
        look_again_in=0.0
        if told.rollback != solver.status.rollback
        else _look_again_in(key, observed, canaries, startups, now()),
    )


def _gone(key: SolverKey, canaries: Canaries, startups: Startups) -> Result:
    canaries.forget(key)
    startups.forget(key)
    return Result(outcome=Outcome.GONE)


async def _undone(solver: MCQSolver, cluster: Cluster, *, digest: str) -> tuple[MCQSolver, Manifest | None]:
    """The replicas' template of before, while what the spec means for them is what was undone.

    Otherwise the solver without the record of it.
    """
    rollback = solver.status.rollback
    if rollback is None:
        return solver, None
    if solver.spec.rollout.auto_rollback and rollback.digest == digest:
        kept = {item["metadata"]["name"]: item for item in await cluster.replica_sets(solver)}
        if rollback.replica_set in kept:
            return solver, status.rollback.template(kept[rollback.replica_set])
    forgotten = solver.status.model_copy(update={"rollback": None})
    return solver.model_copy(update={"status": forgotten}), None


async def _observed(
    solver: MCQSolver,
    cluster: Cluster,
    applied: Applied,
    found: Children,
    startups: Startups,
    now: datetime,
) -> Observed:
    manifest = applied.live.get(DEPLOYMENT.named(solver.name))
    deployment = Deployment.of(manifest) if manifest else None
    scalers = [applied.live.get(kind.named(solver.name)) for kind in (AUTOSCALER, SCALED_OBJECT)]
    ingress = applied.live.get(INGRESS.named(solver.name))
    undoable = status.rollback.concerns(solver, deployment, found.pods)
    return Observed(
        deployment=deployment,
        pods=found.pods,
        conflicts=applied.conflicts,
        refused=applied.refused,
        absent=applied.absent,
        scaler=next((scaler for scaler in scalers if scaler), None),
        replica_sets=await cluster.replica_sets(solver) if undoable else [],
        rival=await cluster.rival(ingress) if ingress else None,
        warning=await _warning(cluster, found, now),
        starting=startups.words(solver, found.pods),
    )


async def _warning(cluster: Cluster, found: Children, now: datetime) -> NodeWarning | None:
    pod = status.pending.hanging(found.pods, now=now)
    warned = await cluster.warnings(pod) if pod else []
    if not pod or not warned:
        return None
    last = warned[-1]
    return NodeWarning(pod=pod["metadata"]["name"], reason=last["reason"], message=last.get("note", ""))


def _look_again_in(
    key: SolverKey, observed: Observed, canaries: Canaries, startups: Startups, now: datetime
) -> float | None:
    """When to look without an event; None: not before the next one."""
    times = [canaries.retry_in(key), startups.retry_in(key)]
    if observed.refused or observed.rival:
        times.append(REFUSED_RETRY_SECONDS)
    if observed.warning or status.pending.young(observed.pods, now=now):
        times.append(status.pending.SECONDS)
    if observed.replica_sets:
        times.append(UNDO_SECONDS)
    return min((seconds for seconds in times if seconds is not None), default=None)


def _unknown(solver: MCQSolver) -> list[ObjectRef]:
    """Objects of kinds that only another release knows: kept on the list, for that release to prune."""
    return [ref for ref in solver.status.inventory if kind_named(ref.api_version, ref.kind) is None]
