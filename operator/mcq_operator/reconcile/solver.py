"""A solver's reconcile."""

from collections.abc import Callable, Sequence
from datetime import datetime

from mcq_operator import desired, status
from mcq_operator.canary import Canaries
from mcq_operator.key_states import KeyStates
from mcq_operator.kube import Applied, Children, Cluster, InvalidSpecError
from mcq_operator.models import GateStatus, Key, Manifest, MCQExam, MCQSolver, SolverKey, names
from mcq_operator.models.kinds import AUTOSCALER, CRON_JOB, DEPLOYMENT, SCALED_OBJECT
from mcq_operator.models.observed import Deployment, Observed, ObservedBackups, Refusal, Rival
from mcq_operator.startup import Startups

from . import gate
from .common import (
    REFUSED_RETRY_SECONDS,
    Outcome,
    Result,
    UnfinishedError,
    kept,
    unfinished,
    warning,
    write,
)
from .ways_in import SOON_SECONDS, unsettled, ways_in

UNDO_SECONDS = 15.0
"""Whether replicas of a roll-out will not start, time alone may tell."""


async def reconcile_solver(
    key: SolverKey,
    *,
    cluster: Cluster,
    canaries: Canaries,
    startups: Startups,
    key_states: KeyStates,
    service_image: str,
    operator_image: str,
    operator_namespace: str,
    now: Callable[[], datetime],
) -> Result:
    """Make the cluster what the solver says, as far as it differs, and the solver's status what is so.

    Raises ClusterError where another try may help.
    """
    try:
        solver = await cluster.solver(key)
    except InvalidSpecError as error:
        told = status.invalid(error.resource, problem=str(error), bad="Ready", now=now())
        await write(cluster, error.resource, told, now())
        return Result(outcome=Outcome.INVALID, told=told)
    if solver is None or solver.deleting:
        return _gone(key, canaries, startups, key_states)
    template = desired.template(solver, service_image=service_image)
    digest = desired.digest(template)
    stored = solver
    solver, earlier = await _undone(stored, cluster, digest=digest)
    exams = await cluster.exams(solver)
    change, before = await gate.held(solver, cluster, service_image=service_image)
    objects = desired.objects(
        solver,
        service_image=service_image,
        operator_image=operator_image,
        operator_namespace=operator_namespace,
        absent=cluster.absent,
        pods=earlier or before or template,
        sat=status.sat(exams),
    )
    objects += await gate.objects(solver, change, cluster)
    wanted = {desired.reference(item): item for item in objects}
    possible = {*desired.possible(solver), *solver.status.inventory}
    found = await cluster.children(solver, possible, wanted=wanted)
    if wanted.keys() - found.live.keys() and not await cluster.still_has(solver):
        # What is missing has gone with the solver, and is not to be made again.
        return _gone(key, canaries, startups, key_states)
    ways = await ways_in(cluster, wanted, found)
    uncontested = {ref: item for ref, item in wanted.items() if ref not in ways.withheld}
    applied = await cluster.apply(solver, uncontested, found)
    pruned = await cluster.prune(solver, found, keep=wanted.keys() - ways.deleted)
    refused = [*applied.refused, *found.refused, *pruned.refused, *ways.refused]
    if DEPLOYMENT.named(solver.name) in found.unread:
        # Nothing is known of the replicas then.
        raise UnfinishedError("; ".join(refusal.message for refusal in found.refused))
    observed = await _observed(
        solver, cluster, applied, found, refused, ways.rivals, startups, key_states, now()
    )
    verdict = canaries.verdict(solver, observed.deployment, observed.pods)
    # Of those that were asked for just now: a change that passes in this look is rolled out in the next.
    in_force = change.template_digest if change and status.gate.holds(change) else digest
    if change is not None:
        seen = await gate.look(solver, applied, cluster)
        change = status.gate.advanced(solver, change, seen, now=now())
    told = status.of(
        solver,
        observed=observed,
        verdict=status.canary_carried(solver, verdict),
        inventory={*applied.live, *pruned.leaving, *kept(solver, refused, ways.withheld - ways.deleted)},
        exams=exams,
        replicas_digest=digest,
        template_digest=in_force,
        held=change,
        meant=desired.gate.identity(solver, service_image=service_image),
        now=now(),
    )
    written = await write(cluster, stored, told, now())
    return Result(
        outcome=Outcome.READY if told.is_true("Ready") else Outcome.NOT_READY,
        error=unfinished(refused),
        told=told,
        wakes=_waiting(solver, exams) if written else (),
        look_again_in=0.0
        if told.rollback != solver.status.rollback or _moved(told.gate, stored.status.gate)
        else _look_again_in(
            key, observed, canaries, startups, told.gate, now(), new_route=unsettled(cluster, applied)
        ),
    )


def _waiting(solver: MCQSolver, exams: Sequence[MCQExam]) -> list[Key]:
    """Who reads the solver's status."""
    return [*(exam.key for exam in exams), *([solver.parent] if solver.parent else [])]


def _moved(told: GateStatus | None, before: GateStatus | None) -> bool:
    """Whether the gate's phase has changed, and with it what is wanted."""
    return (told and told.phase) != (before and before.phase)


def _gone(key: SolverKey, *askings: Canaries | Startups | KeyStates) -> Result:
    for asking in askings:
        asking.forget(key)
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
    refused: list[Refusal],
    rivals: list[Rival],
    startups: Startups,
    key_states: KeyStates,
    now: datetime,
) -> Observed:
    manifest = applied.live.get(DEPLOYMENT.named(solver.name))
    deployment = Deployment.of(manifest) if manifest else None
    scalers = [applied.live.get(kind.named(solver.name)) for kind in (AUTOSCALER, SCALED_OBJECT)]
    undoable = status.rollback.concerns(solver, deployment, found.pods)
    return Observed(
        deployment=deployment,
        pods=found.pods,
        conflicts=applied.conflicts,
        held=applied.held,
        refused=refused,
        absent=applied.absent,
        scaler=next((scaler for scaler in scalers if scaler), None),
        replica_sets=await cluster.replica_sets(solver) if undoable else [],
        rivals=rivals,
        warning=await warning(cluster, found.pods, now),
        starting=startups.words(solver, found.pods),
        backups=await _backups(solver, cluster, applied),
        keys=key_states.count(solver, found.pods),
    )


async def _backups(solver: MCQSolver, cluster: Cluster, applied: Applied) -> ObservedBackups | None:
    cron_job = applied.live.get(CRON_JOB.named(names.backup_name(solver)))
    if cron_job is None:
        return None
    jobs, pods = await cluster.backups(solver)
    return ObservedBackups(cron_job=cron_job, jobs=jobs, pods=pods)


def _look_again_in(
    key: SolverKey,
    observed: Observed,
    canaries: Canaries,
    startups: Startups,
    change: GateStatus | None,
    now: datetime,
    *,
    new_route: bool,
) -> float | None:
    """When to look without an event; None: not before the next one."""
    times = [canaries.retry_in(key), startups.retry_in(key), status.gate.retry_in(change)]
    if observed.refused or observed.rivals:
        times.append(REFUSED_RETRY_SECONDS)
    if new_route:
        times.append(SOON_SECONDS)
    if observed.warning or status.pending.young(observed.pods, now=now):
        times.append(status.pending.SECONDS)
    if observed.replica_sets:
        times.append(UNDO_SECONDS)
    return min((seconds for seconds in times if seconds is not None), default=None)
