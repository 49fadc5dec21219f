"""The reconcile of an exam."""

from collections.abc import Callable, Iterable
from datetime import datetime

from mcq_operator import desired, status
from mcq_operator.api import Condition, ExamKey, Manifest, MCQExam, MCQSolver, names
from mcq_operator.api.exam_status import ReportRef
from mcq_operator.api.kinds import CONFIG_MAP, CRON_JOB, JOB, ref_of
from mcq_operator.api.observed import ObservedExam
from mcq_operator.client import Applied, Cluster, InvalidSpecError

from .steps import (
    REFUSED_RETRY_SECONDS,
    Outcome,
    Result,
    readable,
    retained,
    unfinished,
    warning,
    write,
)


async def reconcile_exam(
    key: ExamKey, *, cluster: Cluster, service_image: str, now: Callable[[], datetime]
) -> Result:
    """Make the cluster match the exam, and the exam's status match the cluster.

    Raises ClusterError if another try may help.
    """
    try:
        exam = await cluster.exam(key)
    except InvalidSpecError as error:
        new_status = status.invalid(error.resource, problem=str(error), condition="Complete", now=now())
        await write(cluster, error.resource, new_status, now())
        return Result(outcome=Outcome.INVALID, status=new_status)
    if exam is None or exam.deleting:
        return Result(outcome=Outcome.GONE)
    solver = await _solver(exam, cluster)
    baseline = await _baseline(exam, cluster)
    jobs = await cluster.jobs(exam)
    manifests = desired.exam.objects(exam, solver, baseline=baseline, service_image=service_image)
    desired_objects = {ref_of(item): item for item in manifests}
    existing = {JOB.named(job["metadata"]["name"]) for job in jobs}
    possible = {*desired.exam.possible(exam), *exam.status.inventory, *existing}
    children = await cluster.children(exam, possible, desired=desired_objects)
    results = CONFIG_MAP.named(names.results_name(exam))
    restored = desired.exam.restored(exam, solver, children.live.get(results))
    may_ask = _may_ask(solver) and restored is None
    to_apply = {
        ref: item
        for ref, item in desired_objects.items()
        if ref.kind != JOB.kind or ref in existing or may_ask
    }
    if to_apply.keys() - children.live.keys() and not await cluster.still_has(exam):
        # The garbage collector took the missing objects with the exam. They must not be created again.
        return Result(outcome=Outcome.GONE)
    applied = await cluster.apply(exam, to_apply, children)
    pruned = await cluster.prune(exam, children, keep=to_apply)
    refused = [*applied.refused, *children.refused, *pruned.refused]
    jobs = _own_jobs(exam, applied, jobs)
    job = _current_job(exam, applied, jobs)
    running = [job] if job else []
    observed = ObservedExam(
        solver=solver,
        job=job,
        jobs=jobs,
        baseline=baseline,
        results=applied.live.get(results),
        restored=restored,
        pods=children.pods,
        conflicts=applied.conflicts,
        blocked=applied.blocked,
        refused=refused,
        warning=await warning(cluster, children.pods, now(), jobs=running),
    )
    new_status = status.exam.of(
        exam,
        observed=observed,
        inventory={*applied.live, *pruned.deleting, *retained(exam, refused)},
        now=now(),
    )
    written = await write(cluster, exam, new_status, now())
    return Result(
        outcome=Outcome.READY if new_status.is_true("Complete") else Outcome.NOT_READY,
        error=unfinished(refused),
        status=new_status,
        requeues=[key for key in (exam.solver_key, exam.parent) if key] if written else (),
        requeue_after=requeue_after(observed, new_status.conditions, now()),
    )


async def _solver(exam: MCQExam, cluster: Cluster) -> MCQSolver | None:
    """Return the exam's solver, unless it is being deleted."""
    solver = await readable(cluster.solver(exam.solver_key))
    return None if solver is None or solver.deleting else solver


async def _baseline(exam: MCQExam, cluster: Cluster) -> ReportRef | None:
    """Return the report of the baseline exam, if it is proven."""
    ref = exam.spec.baseline_ref
    if ref is None:
        return None
    baseline = await readable(cluster.exam(ExamKey(exam.namespace, ref.name)))
    report = baseline.status.report if baseline else None
    return report if report and report.digest else None


def _may_ask(solver: MCQSolver | None) -> bool:
    """Return whether the solver answers the present generation of its spec."""
    if solver is None or solver.status.observed_generation != solver.metadata.generation:
        return False
    return solver.status.answering


def _own_jobs(exam: MCQExam, applied: Applied, jobs: Iterable[Manifest]) -> list[Manifest]:
    """Return the Jobs that the exam created, itself or by its CronJob. Compare uids: anyone may set labels."""
    cron_job = applied.live.get(CRON_JOB.named(names.exam_name(exam)))
    own = {exam.metadata.uid, *([cron_job["metadata"]["uid"]] if cron_job else [])}
    return [
        job for job in jobs if any(ref["uid"] in own for ref in job["metadata"].get("ownerReferences", []))
    ]


def _current_job(exam: MCQExam, applied: Applied, jobs: Iterable[Manifest]) -> Manifest | None:
    """Return the Job for the present replicas, or the last scheduled one."""
    if exam.spec.schedule is None:
        return next((live for ref, live in applied.live.items() if ref.kind == JOB.kind), None)
    return max(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]), default=None)


def requeue_after(observed: ObservedExam, conditions: Iterable[Condition], now: datetime) -> float | None:
    """Return in how many seconds to reconcile again without an event; None to wait for the next event."""
    waits = any(condition.reason == "WaitingForBaseline" for condition in conditions)
    if observed.refused or observed.conflicts or waits:
        return REFUSED_RETRY_SECONDS
    running = [observed.job] if observed.job else []
    hanging = status.pending.has_new_pod(observed.pods, now=now) or status.pending.has_podless_job(
        running, observed.pods
    )
    if observed.warning or hanging:
        return status.pending.SECONDS
    return None
