"""A solver's reconcile."""

from collections.abc import Callable, Sequence
from datetime import datetime

from mcq_operator import desired, status
from mcq_operator.canary import Canaries
from mcq_operator.key_states import KeyStates
from mcq_operator.kube import Applied, Children, Cluster, InvalidSpecError
from mcq_operator.models import GateStatus, Key, Manifest, MCQExam, MCQSolver, SolverKey, SolverStatus, names
from mcq_operator.models.kinds import (
    AUTOSCALER,
    CRON_JOB,
    DEPLOYMENT,
    HTTP_ROUTE,
    INGRESS,
    PROMETHEUS_RULE,
    SCALED_OBJECT,
    SERVICE_MONITOR,
)
from mcq_operator.models.observed import Deployment, Observed, ObservedBackups, Refusal, Rival
from mcq_operator.startup import Startups
from mcq_operator.upgrades import Upgrades

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
    upgrades: Upgrades,
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
        return _gone(key, canaries, startups, key_states, upgrades)
    template = desired.template(solver, service_image=service_image)
    digest = desired.digest(template)
    stored = solver
    solver, earlier = await _undone(stored, cluster, digest=digest)
    exams = await cluster.exams(solver)
    held_back, present = await _held_back(solver, cluster, upgrades, digest=digest)
    if present is None:
        change, before = await gate.held(solver, cluster, service_image=service_image)
    else:
        change, before = solver.status.gate, present
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
    reconciled_before = solver.status.observed_generation > 0
    if reconciled_before and wanted.keys() - found.live.keys() and not await cluster.still_has(solver):
        # The missing objects went with the solver. They must not be made again.
        return _gone(key, canaries, startups, key_states, upgrades)
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
    if present is not None:
        in_force = solver.status.template_digest
    elif change is not None:
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
        meant=solver.status.promoted
        if present
        else desired.gate.identity(solver, service_image=service_image),
        release=solver.status.release if present else upgrades.release,
        held_back=held_back,
        model=status.loaded.told(earlier or before or template),
        now=now(),
    )
    upgrades.note(key, rolling=present is None and _rolls(told))
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


async def _held_back(
    solver: MCQSolver, cluster: Cluster, upgrades: Upgrades, *, digest: str
) -> tuple[str, Manifest | None]:
    """Why the replicas of the operator's last release stay for now, and their template; or nothing of both."""
    reason = upgrades.held(solver, digest=digest)
    newest = status.rollback.newest(await cluster.replica_sets(solver)) if reason else None
    return (reason, status.rollback.template(newest)) if newest else ("", None)


def _rolls(told: SolverStatus) -> bool:
    """Whether replicas, or a gate's candidate, are on their way and nothing is wrong with them."""
    sits = told.gate is not None and told.gate.phase in {"Waiting", "Sitting"}
    return not told.is_true("Degraded") and (sits or told.is_true("Progressing"))


def _waiting(solver: MCQSolver, exams: Sequence[MCQExam]) -> list[Key]:
    """Who reads the solver's status."""
    return [*(exam.key for exam in exams), *([solver.parent] if solver.parent else [])]


def _moved(told: GateStatus | None, before: GateStatus | None) -> bool:
    """Whether the gate's phase has changed, and with it what is wanted."""
    return (told and told.phase) != (before and before.phase)


def _gone(key: SolverKey, *memories: Canaries | Startups | KeyStates | Upgrades) -> Result:
    for memory in memories:
        memory.forget(key)
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
        ingress=applied.live.get(INGRESS.named(solver.name)),
        route=applied.live.get(HTTP_ROUTE.named(solver.name)),
        monitored=any(kind.named(solver.name) in applied.live for kind in (SERVICE_MONITOR, PROMETHEUS_RULE)),
        rivals=rivals,
        warning=await warning(cluster, found.pods, now),
        starting=startups.words(solver, found.pods),
        backups=await _backups(solver, cluster, applied, now),
        keys=key_states.count(solver, found.pods),
    )


async def _backups(
    solver: MCQSolver, cluster: Cluster, applied: Applied, now: datetime
) -> ObservedBackups | None:
    cron_job = applied.live.get(CRON_JOB.named(names.backup_name(solver)))
    if cron_job is None:
        return None
    jobs, pods = await cluster.backups(solver)
    warned = await warning(cluster, pods, now, jobs=jobs)
    return ObservedBackups(cron_job=cron_job, jobs=jobs, pods=pods, warning=warned)


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
    backups = observed.backups
    unmade = backups is not None and status.pending.expecting(backups.jobs, backups.pods)
    if observed.warning or unmade or status.pending.young(observed.pods, now=now):
        times.append(status.pending.SECONDS)
    if observed.replica_sets:
        times.append(UNDO_SECONDS)
    return min((seconds for seconds in times if seconds is not None), default=None)
