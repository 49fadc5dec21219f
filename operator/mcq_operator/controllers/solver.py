"""The reconcile of a solver."""

from collections.abc import Callable, Sequence
from datetime import datetime

from mcq_operator import desired, status
from mcq_operator.api import GateStatus, Key, Manifest, MCQExam, MCQSolver, SolverKey, SolverStatus
from mcq_operator.api.kinds import DEPLOYMENT, ref_of
from mcq_operator.api.observed import ObservedSolver
from mcq_operator.client import Cluster, InvalidSpecError
from mcq_operator.probes.probers import Probers

from . import gate
from .route_conflicts import LIST_LAG_SECONDS, find_route_conflicts, has_new_route
from .solver_observation import observe
from .steps import REFUSED_RETRY_SECONDS, Outcome, Result, UnfinishedError, retained, unfinished, write
from .upgrades import Upgrades

FIRST_STATUS_SECONDS = 1.0
"""The longest wait for a new Deployment's first event, with which a new solver gets its first status."""
ROLLBACK_CHECK_SECONDS = 15.0
"""A roll-out may fail by time alone, without an event."""


async def reconcile_solver(
    key: SolverKey,
    *,
    cluster: Cluster,
    probers: Probers,
    upgrades: Upgrades,
    installation: desired.Installation,
    now: Callable[[], datetime],
) -> Result:
    """Make the cluster match the solver, and the solver's status match the cluster.

    Raises ClusterError if another try may help.
    """
    try:
        solver = await cluster.solver(key)
    except InvalidSpecError as error:
        new_status = status.invalid(error.resource, problem=str(error), condition="Ready", now=now())
        await write(cluster, error.resource, new_status, now())
        return Result(outcome=Outcome.INVALID, status=new_status)
    if solver is None or solver.deleting:
        return _gone(key, probers, upgrades)
    images = installation.images
    plain_template = desired.plain_template(solver, images=images)
    digest = desired.digest(plain_template)
    stored = solver
    solver, rollback_template = await _rollback_template(stored, cluster, digest=digest)
    exams = await cluster.exams(solver)
    hold_reason, upgrade_template = await _upgrade_hold(solver, cluster, upgrades, digest=digest)
    if upgrade_template is None:
        change, gate_template = await gate.gated_change(solver, cluster, images=images)
    else:
        change, gate_template = solver.status.gate, upgrade_template
    held_template = rollback_template or gate_template
    digest_in_force = _digest_in_force(
        solver, change, rollback_template, held_back=upgrade_template is not None, digest=digest
    )
    lost = held_template is None and status.gate.lost(change)
    held = lost or held_template is not None
    if held_template is None:
        solver = _with_threshold(solver, exams)
    replicas_template = held_template or (
        desired.template(solver, images=images) if solver.status.threshold else plain_template
    )
    solver = desired.with_served_path(solver, replicas_template)
    objects = desired.objects(
        solver,
        installation,
        absent=cluster.absent,
        pods=replicas_template,
        last_exam=status.last_exam(exams, template_digest=digest_in_force),
    )
    objects += await gate.objects(solver, change, cluster)
    desired_objects = {ref_of(item): item for item in objects}
    possible = {*desired.possible(solver), *solver.status.inventory}
    children = await cluster.children(solver, possible, desired=desired_objects)
    reconciled_before = solver.status.observed_generation > 0
    if (
        reconciled_before
        and desired_objects.keys() - children.live.keys()
        and not await cluster.still_has(solver)
    ):
        # The garbage collector took the missing objects with the solver. They must not be created again.
        return _gone(key, probers, upgrades)
    conflicts = await find_route_conflicts(cluster, desired_objects, children)
    # Without a template of the earlier replicas, the Deployment would get the one that the gate holds.
    deployment_ref = DEPLOYMENT.named(solver.name)
    withheld = conflicts.withheld | ({deployment_ref} if lost else set())
    uncontested = {ref: item for ref, item in desired_objects.items() if ref not in withheld}
    applied = await cluster.apply(solver, uncontested, children)
    deployment = applied.live.get(deployment_ref) or children.live.get(deployment_ref)
    mounted = desired.mounted_claims(deployment, children.pods)
    pruned = await cluster.prune(
        solver, children, keep=(desired_objects.keys() - conflicts.deleted) | mounted
    )
    refused = [*applied.refused, *children.refused, *pruned.refused, *conflicts.refused]
    problems = [*refused, *conflicts.rivals, *applied.conflicts, *applied.blocked]
    created = applied.live.keys() - children.live.keys()
    if not reconciled_before and not problems and deployment_ref in created:
        # A status write costs the API server more than an object, and can say more after the Deployment's first event.
        # So the objects of other new solvers come first.
        return Result(outcome=Outcome.NOT_READY, requeue_after=FIRST_STATUS_SECONDS)
    if deployment_ref in children.unread:
        # Without the Deployment, the state of the replicas is unknown.
        raise UnfinishedError("; ".join(refusal.message for refusal in children.refused))
    observed = await observe(
        solver, cluster, applied, children, refused, conflicts.rivals, probers, now(),
        watched=status.watch.is_needed(solver, change), held=held,
    )  # fmt: skip
    verdict = probers.canary.verdict(solver, observed.deployment, observed.pods)
    if upgrade_template is None and change is not None:
        gate_objects = await gate.read_objects(solver, applied, cluster, images=images)
        change = status.gate.advance(solver, change, gate_objects, now=now())
        change = await gate.advance_watch(solver, change, observed, cluster, now=now())
    new_status = status.of(
        solver,
        observed=observed,
        verdict=status.recorded_verdict(solver, verdict),
        inventory={
            *applied.live,
            *pruned.deleting,
            *retained(solver, refused, (withheld - conflicts.deleted) | mounted),
        },
        exams=exams,
        replicas_digest=digest,
        template_digest=digest_in_force,
        change=change,
        identity=solver.status.promoted if upgrade_template else desired.gate.identity(solver, images=images),
        release=solver.status.release if held else upgrades.release,
        hold_reason=hold_reason,
        held=held,
        model=status.loaded_model.model_of(replicas_template),
        asks_for_key=desired.asks_for_key(replicas_template),
        now=now(),
    )
    upgrades.record(key, rolling=upgrade_template is None and is_rolling_out(new_status))
    written = await write(cluster, stored, new_status, now())
    return Result(
        outcome=Outcome.READY if new_status.is_true("Ready") else Outcome.NOT_READY,
        error=unfinished(refused),
        status=new_status,
        requeues=await _readers(solver, cluster, exams) if written else (),
        requeue_after=0.0
        if new_status.rollback != solver.status.rollback
        or _phase_changed(new_status.gate, stored.status.gate)
        else _requeue_after(
            key,
            observed,
            probers,
            new_status.gate,
            now(),
            new_route=has_new_route(cluster, applied),
        ),
    )


def _with_threshold(solver: MCQSolver, exams: Sequence[MCQExam]) -> MCQSolver:
    """Return the solver with the threshold from its exams, for the replicas' template and the status."""
    new_status = solver.status.model_copy(update={"threshold": status.threshold.decide(solver, exams)})
    return solver.model_copy(update={"status": new_status})


async def _upgrade_hold(
    solver: MCQSolver, cluster: Cluster, upgrades: Upgrades, *, digest: str
) -> tuple[str, Manifest | None]:
    """Return why the replicas of the operator's last release stay for now, and their template, or "" and None."""
    reason = upgrades.hold_reason(solver, digest=digest)
    newest = status.rollback.newest(await cluster.replica_sets(solver)) if reason else None
    return (reason, status.rollback.template(newest)) if newest else ("", None)


def _digest_in_force(
    solver: MCQSolver,
    change: GateStatus | None,
    rollback_template: Manifest | None,
    *,
    held_back: bool,
    digest: str,
) -> str:
    """Return the digest of the replicas that this reconcile applies; `digest` identifies those of the spec."""
    if rollback_template is not None:
        # The recorded digest is that of the failed replicas.
        return desired.digest(rollback_template)
    if held_back:
        return solver.status.template_digest
    return change.template_digest if change and status.gate.holds(change) else digest


def is_rolling_out(new_status: SolverStatus) -> bool:
    """Return whether replicas, or a gate's candidate, are starting without a problem.

    A change that waits for a baseline starts no Pods, and may wait for ever.
    """
    has_candidate = new_status.gate is not None and new_status.gate.phase == "Sitting"
    return not new_status.is_true("Degraded") and (has_candidate or new_status.is_true("Progressing"))


async def _readers(solver: MCQSolver, cluster: Cluster, exams: Sequence[MCQExam]) -> list[Key]:
    """Return the keys of the resources that read the solver's status."""
    keys: list[Key] = [*(exam.key for exam in exams), *await cluster.escalating(solver)]
    return [*keys, solver.parent] if solver.parent else keys


def _phase_changed(after: GateStatus | None, before: GateStatus | None) -> bool:
    """Return whether the gate's phase has changed, and with it the desired objects."""
    return (after and after.phase) != (before and before.phase)


def _gone(key: SolverKey, probers: Probers, upgrades: Upgrades) -> Result:
    probers.forget(key)
    upgrades.forget(key)
    return Result(outcome=Outcome.GONE)


async def _rollback_template(
    solver: MCQSolver, cluster: Cluster, *, digest: str
) -> tuple[MCQSolver, Manifest | None]:
    """Return the solver, and the template that a rollback went back to while the spec asks for the failed replicas.

    Otherwise the template is None, and the solver has no record of a rollback.
    """
    rollback = solver.status.rollback
    if rollback is None:
        return solver, None
    if solver.spec.rollout.auto_rollback and rollback.digest == digest:
        replica_sets = {item["metadata"]["name"]: item for item in await cluster.replica_sets(solver)}
        if rollback.replica_set in replica_sets:
            return solver, status.rollback.template(replica_sets[rollback.replica_set])
    new_status = solver.status.model_copy(update={"rollback": None})
    return solver.model_copy(update={"status": new_status}), None


def _requeue_after(
    key: SolverKey,
    observed: ObservedSolver,
    probers: Probers,
    change: GateStatus | None,
    now: datetime,
    *,
    new_route: bool,
) -> float | None:
    """Return in how many seconds to reconcile again without an event; None to wait for the next event."""
    times = [probers.retry_in(key), status.gate.retry_in(change)]
    if observed.refused or observed.rivals or observed.conflicts:
        times.append(REFUSED_RETRY_SECONDS)
    if new_route:
        times.append(LIST_LAG_SECONDS)
    backups = observed.backups
    has_podless_backup = backups is not None and status.pending.has_podless_job(backups.jobs, backups.pods)
    if observed.warning or has_podless_backup or status.pending.has_new_pod(observed.pods, now=now):
        times.append(status.pending.SECONDS)
    if observed.replica_sets:
        times.append(ROLLBACK_CHECK_SECONDS)
    return min((seconds for seconds in times if seconds is not None), default=None)
