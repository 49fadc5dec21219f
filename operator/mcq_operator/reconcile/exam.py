"""An exam's reconcile."""

from collections.abc import Callable, Iterable
from datetime import datetime

from mcq_operator import desired, status
from mcq_operator.kube import Applied, Cluster, InvalidSpecError
from mcq_operator.models import Condition, ExamKey, Manifest, MCQExam, MCQSolver, names
from mcq_operator.models.kinds import CONFIG_MAP, CRON_JOB, JOB
from mcq_operator.models.observed import ObservedExam
from mcq_operator.models.status import ReportRef

from .common import (
    REFUSED_RETRY_SECONDS,
    Outcome,
    Result,
    kept,
    readable_exam,
    readable_solver,
    unfinished,
    warning,
    write,
)


async def reconcile_exam(
    key: ExamKey, *, cluster: Cluster, service_image: str, now: Callable[[], datetime]
) -> Result:
    """See `reconcile`."""
    try:
        exam = await cluster.exam(key)
    except InvalidSpecError as error:
        told = status.invalid(error.resource, problem=str(error), bad="Complete", now=now())
        await write(cluster, error.resource, told, now())
        return Result(outcome=Outcome.INVALID, told=told)
    if exam is None or exam.deleting:
        return Result(outcome=Outcome.GONE)
    solver = await _solver(exam, cluster)
    baseline = await _baseline(exam, cluster)
    jobs = await cluster.jobs(exam)
    made = desired.exam.objects(exam, solver, baseline=baseline, service_image=service_image)
    objects = {desired.reference(item): item for item in made}
    there = {JOB.named(job["metadata"]["name"]) for job in jobs}
    possible = {*desired.exam.possible(exam), *exam.status.inventory, *there}
    found = await cluster.children(exam, possible, wanted=objects)
    results = CONFIG_MAP.named(names.results_name(exam))
    restored = desired.exam.restored(exam, solver, found.live.get(results))
    asked = _asked(solver) and restored is None
    wanted = {ref: item for ref, item in objects.items() if ref.kind != JOB.kind or ref in there or asked}
    if wanted.keys() - found.live.keys() and not await cluster.still_has(exam):
        # What is missing has gone with the exam, and is not to be made again.
        return Result(outcome=Outcome.GONE)
    applied = await cluster.apply(exam, wanted, found)
    pruned = await cluster.prune(exam, found, keep=wanted)
    refused = [*applied.refused, *found.refused, *pruned.refused]
    jobs = _own(exam, applied, jobs)
    job = _job(exam, applied, jobs)
    running = [job] if job else []
    observed = ObservedExam(
        solver=solver,
        job=job,
        jobs=jobs,
        baseline=baseline,
        results=applied.live.get(results),
        restored=restored,
        pods=found.pods,
        conflicts=applied.conflicts,
        held=applied.held,
        refused=refused,
        warning=await warning(cluster, found.pods, now(), jobs=running),
    )
    told = status.exam.of(
        exam, observed=observed, inventory={*applied.live, *pruned.leaving, *kept(exam, refused)}, now=now()
    )
    written = await write(cluster, exam, told, now())
    return Result(
        outcome=Outcome.READY if told.is_true("Complete") else Outcome.NOT_READY,
        error=unfinished(refused),
        told=told,
        wakes=[key for key in (exam.solver_key, exam.parent) if key] if written else (),
        look_again_in=_look_again_in(observed, told.conditions, now()),
    )


async def _solver(exam: MCQExam, cluster: Cluster) -> MCQSolver | None:
    """Who sits it, unless it is on its way out."""
    solver = await readable_solver(cluster, exam.solver_key)
    return None if solver is None or solver.deleting else solver


async def _baseline(exam: MCQExam, cluster: Cluster) -> ReportRef | None:
    """The report that it is compared with, if it is proven."""
    ref = exam.spec.baseline_ref
    if ref is None:
        return None
    found = await readable_exam(cluster, ExamKey(exam.namespace, ref.name))
    report = found.status.report if found else None
    return report if report and report.digest else None


def _asked(solver: MCQSolver | None) -> bool:
    """Whether the solver may be asked now."""
    if solver is None or solver.status.observed_generation != solver.metadata.generation:
        return False
    return solver.status.answering


def _own(exam: MCQExam, applied: Applied, jobs: Iterable[Manifest]) -> list[Manifest]:
    """Those that it has made, itself or by its CronJob: anyone who creates Jobs may label them."""
    cron_job = applied.live.get(CRON_JOB.named(names.exam_name(exam)))
    own = {exam.metadata.uid, *([cron_job["metadata"]["uid"]] if cron_job else [])}
    return [
        job for job in jobs if any(ref["uid"] in own for ref in job["metadata"].get("ownerReferences", []))
    ]


def _job(exam: MCQExam, applied: Applied, jobs: Iterable[Manifest]) -> Manifest | None:
    """The Job of the present replicas, or the last one that was scheduled."""
    if exam.spec.schedule is None:
        return next((live for ref, live in applied.live.items() if ref.kind == JOB.kind), None)
    return max(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]), default=None)


def _look_again_in(observed: ObservedExam, conditions: Iterable[Condition], now: datetime) -> float | None:
    if observed.refused or any(told.reason == "WaitingForBaseline" for told in conditions):
        return REFUSED_RETRY_SECONDS
    running = [observed.job] if observed.job else []
    hanging = status.pending.young(observed.pods, now=now) or status.pending.expecting(running, observed.pods)
    if observed.warning or hanging:
        return status.pending.SECONDS
    return None
