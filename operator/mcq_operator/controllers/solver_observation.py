"""Collect the observed state of a solver, from which its status is made."""

from datetime import datetime

from mcq_operator import status
from mcq_operator.api import MCQSolver, ResourceStatus, SolverKey, names
from mcq_operator.api.kinds import (
    AUTOSCALER,
    CRON_JOB,
    DEPLOYMENT,
    HTTP_ROUTE,
    INGRESS,
    PROMETHEUS_RULE,
    SCALED_OBJECT,
    SERVICE_MONITOR,
)
from mcq_operator.api.observed import Deployment, ObservedBackups, ObservedSolver, Refusal, Rival
from mcq_operator.client import Applied, Children, Cluster
from mcq_operator.probes.probers import Probers

from .steps import warning


async def observe(
    solver: MCQSolver,
    cluster: Cluster,
    applied: Applied,
    children: Children,
    refused: list[Refusal],
    rivals: list[Rival],
    probers: Probers,
    now: datetime,
    *,
    watched: bool,
    held: bool,
) -> ObservedSolver:
    """Return what the status of a solver is made from, after its objects were applied. Raises ClusterError.

    Only the traffic of a `watched` solver is asked for. A roll-out is not undone while an earlier template is `held`.
    """
    manifest = applied.live.get(DEPLOYMENT.named(solver.name))
    deployment = Deployment.of(manifest) if manifest else None
    scalers = [applied.live.get(kind.named(solver.name)) for kind in (AUTOSCALER, SCALED_OBJECT)]
    may_roll_back = not held and status.rollback.needs_replica_sets(solver, deployment, children.pods)
    return ObservedSolver(
        deployment=deployment,
        pods=children.pods,
        conflicts=applied.conflicts,
        blocked=applied.blocked,
        refused=refused,
        absent=applied.absent,
        scaler=next((scaler for scaler in scalers if scaler), None),
        replica_sets=await cluster.replica_sets(solver) if may_roll_back else [],
        ingress=applied.live.get(INGRESS.named(solver.name)),
        route=applied.live.get(HTTP_ROUTE.named(solver.name)),
        monitored=any(kind.named(solver.name) in applied.live for kind in (SERVICE_MONITOR, PROMETHEUS_RULE)),
        rivals=rivals,
        warning=await warning(cluster, children.pods, now),
        starting=probers.load_progress.message(solver, children.pods),
        backups=await _backups(solver, cluster, applied, now),
        keys=probers.api_keys.count(solver, children.pods),
        traffic=probers.traffic.total(solver, children.pods if watched else ()),
        escalation=await _escalation(solver, cluster),
    )


async def _escalation(solver: MCQSolver, cluster: Cluster) -> ResourceStatus | None:
    """Return the status of the solver that this one escalates to, if it exists."""
    target = solver.spec.answering.escalate_to
    if target is None:
        return None
    stored = await cluster.stored(SolverKey(solver.namespace, target.solver_ref.name))
    return stored.status if stored else None


async def _backups(
    solver: MCQSolver, cluster: Cluster, applied: Applied, now: datetime
) -> ObservedBackups | None:
    cron_job = applied.live.get(CRON_JOB.named(names.backup_name(solver)))
    if cron_job is None:
        return None
    jobs, pods = await cluster.backups(solver)
    backup_warning = await warning(cluster, pods, now, jobs=jobs)
    return ObservedBackups(cron_job=cron_job, jobs=jobs, pods=pods, warning=backup_warning)
