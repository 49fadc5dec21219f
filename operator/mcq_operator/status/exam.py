"""An exam's status: the figures of its last result, and the progress of the present sitting."""

import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from mcq_operator.api import ExamStatus, MCQExam, ObjectRef, names
from mcq_operator.api.exam_status import CoveragePoint, ExaminedModel, Interval, ReportRef
from mcq_operator.api.observed import ObservedExam
from mcq_operator.api.result import CoveragePoint as ResultPoint
from mcq_operator.api.result import Sitting, newest, sittings

from . import evidence, jobs
from .failures import object_failures, warning_failure
from .finding import Failure, Finding, quoted
from .pod_failures import PodKind, task_failures
from .pods import present
from .transitions import stamp, with_transition_times

NOT_SAT = "NotSat"
RESTORED = "Restored"
PODS = PodKind(
    container=names.EXAM_CONTAINER,
    image="The node pulls the operator's MCQ_OPERATOR_SERVICE_IMAGE with the MCQSolver's spec.imagePullSecrets: check"
    " both, and that the node reaches the registry.",
    room="Add room on a node, or check spec.scheduling and spec.resources. If spec.questions.uri is pvc://, check"
    " that claim.",
)


def of(exam: MCQExam, *, observed: ObservedExam, inventory: Iterable[ObjectRef], now: datetime) -> ExamStatus:
    """Return the status of an exam for one observation of the cluster."""
    if observed.solver is None and exam.parent and exam.status.conditions:
        # A gate's exam outlives its candidate, because people read its report or why there is none.
        last_digest = exam.status.template_digest if exam.status.is_true("Complete") else ""
        return exam.status.model_copy(
            update={"inventory": _sorted(inventory), "template_digest": last_digest}
        )
    stored = sittings(observed.results)
    proven = evidence.proven(exam, observed, stored)
    restored = [] if observed.job else [each for each in stored if each.name == observed.restored]
    last = newest([*proven, *restored])
    failed = next(_failures(exam, observed, stored), None)
    complete = _complete(exam, observed, proven, restored, failed)
    findings = [complete, _degraded(failed), *_passed(exam, last, complete)]
    return ExamStatus(
        observed_generation=exam.metadata.generation,
        solver=exam.spec.solver_ref.name,
        **(_figures(exam, last, proven=last in proven) if last else {}),
        template_digest=_described_digest(exam, observed, last),
        conditions=with_transition_times(exam, findings, now),
        inventory=_sorted(inventory),
    )


def _sorted(inventory: Iterable[ObjectRef]) -> list[ObjectRef]:
    return sorted(inventory, key=lambda ref: (ref.kind, ref.name))


def _figures(exam: MCQExam, sitting: Sitting, *, proven: bool) -> dict[str, Any]:
    result = sitting.result
    accuracy = result.figures.accuracy
    low, high = (round(bound, 4) for bound in accuracy.ci95)
    return {
        "summary": f"{accuracy.value:.3f} ({low:.3f}-{high:.3f})",
        "accuracy": round(accuracy.value, 4),
        "ci95": Interval(low=low, high=high),
        "calibration_error": round(result.figures.ece.value, 4),
        "count": accuracy.total,
        "unanswered": result.unanswered,
        "p95_seconds": round(result.latency.p95_ms / 1000, 3),
        "sat": stamp(result.created),
        "exam_digest": next(iter(result.exams.values()), None),
        "model": ExaminedModel(
            uri=result.model,
            digest=result.model_digest,
            precision=result.precision,
            prompt_digest=result.prompt_digest,
        ),
        "risk_coverage": [_point(each) for each in result.figures.risk_coverage] or None,
        "report": ReportRef(
            config_map=names.results_name(exam),
            name=sitting.name,
            shards=result.shards,
            digest=sitting.digest if proven else None,
        ),
    }


def _point(each: ResultPoint) -> CoveragePoint:
    low, high = each.interval
    # Round down: otherwise the low end could reach an accuracy that the exact one misses.
    interval = Interval(low=math.floor(low * 10_000) / 10_000, high=round(high, 4))
    return CoveragePoint(
        min_confidence=each.min_confidence,
        coverage=round(each.coverage, 4),
        accuracy=round(each.accuracy, 4),
        interval=interval,
    )


def _described_digest(exam: MCQExam, observed: ObservedExam, last: Sitting | None) -> str:
    """Return the digest of the replicas that the conditions describe; with a schedule, those of the last result.

    It is empty for a scheduled sitting during which the replicas changed.
    """
    in_force = observed.solver.status.template_digest if observed.solver else ""
    if not exam.spec.schedule:
        return in_force if observed.solver else exam.status.template_digest
    if last is None or stamp(last.result.created) == exam.status.sat:
        return exam.status.template_digest
    started = {job["metadata"]["name"]: job["metadata"].get("annotations", {}) for job in observed.jobs}
    answered = started.get(last.name, {}).get(names.TEMPLATE_DIGEST_ANNOTATION)
    return in_force if answered == in_force else ""


def _complete(
    exam: MCQExam,
    observed: ObservedExam,
    proven: list[Sitting],
    restored: list[Sitting],
    failed: Failure | None,
) -> Finding:
    """True if the latest sitting has a result."""
    job, solver = observed.job, exam.spec.solver_ref.name
    name = job["metadata"]["name"] if job else None
    done = next((each for each in proven if each.name == name), None)
    if done is None and exam.spec.schedule and (job is None or jobs.running(job)):
        done = newest(proven)
    if done is not None:
        return Finding("Complete", "True", "Sat", _summary(exam, done))
    for each in restored:
        message = (
            f"{_summary(exam, each)} The result is from a backup and no Pod proves it, so no gate compares with it. To"
            f" run the exam: kubectl annotate configmap -n {exam.namespace} {names.results_name(exam)}"
            f" {names.RESTORED_ANNOTATION}-"
        )
        return Finding("Complete", "True", RESTORED, message)
    if failed is not None:
        return Finding("Complete", "False", failed.reason, failed.message)
    if observed.solver is None:
        message = f"There is no MCQSolver {solver} in this namespace"
        message += ": the gate creates it." if exam.parent else ": create it, or correct spec.solverRef.name."
        return Finding("Complete", "False", "SolverNotFound", message)
    if exam.spec.baseline_ref is not None and observed.baseline is None:
        baseline = exam.spec.baseline_ref.name
        message = f"The baseline, MCQExam {baseline}, has no proven result yet."
        return Finding("Complete", "False", "WaitingForBaseline", message)
    if job is None and exam.spec.schedule:
        message = f"The exam runs by its schedule: {exam.spec.schedule}, in UTC."
        return Finding("Complete", "False", "Scheduled", message)
    if job is None:
        message = f"The exam starts when MCQSolver {solver} is Ready."
        return Finding("Complete", "False", "WaitingForSolver", message)
    shards = exam.spec.parallelism
    count = job.get("status", {}).get("succeeded", 0)
    watch = f"kubectl logs -n {exam.namespace} -l {names.selector(exam)}"
    message = f"{count} of {shards} shards have answered their questions. Watch: {watch}"
    return Finding("Complete", "False", "Sitting", message)


def _summary(exam: MCQExam, sitting: Sitting) -> str:
    result = sitting.result
    accuracy = result.figures.accuracy
    low, high = accuracy.ci95
    unanswered = (
        f" {result.unanswered} more got no answer and are left out of the figures."
        if result.unanswered
        else ""
    )
    return (
        f"{accuracy.right} of {accuracy.total} answers are right: {accuracy.value:.1%}, 95 % interval {low:.1%} to"
        f" {high:.1%}; calibration error {result.figures.ece.value:.3f}.{unanswered}"
        f" See: python -m mcq_operator exam report -n {exam.namespace} {exam.name}"
    )


def _degraded(failed: Failure | None) -> Finding:
    if failed is not None:
        return Finding("Degraded", "True", failed.reason, failed.message)
    return Finding("Degraded", "False", "AsExpected", "The operator knows of no failure.")


def _passed(exam: MCQExam, last: Sitting | None, complete: Finding) -> Iterable[Finding]:
    """Yield whether the result meets spec.pass; nothing if spec.pass is empty."""
    if not exam.spec.pass_.model_dump(exclude_none=True):
        return
    verdict = last.result.verdict if last else None
    if complete.reason == RESTORED:
        yield Finding("Passed", "Unknown", RESTORED, "The result is from a backup and no Pod proves it.")
        return
    if complete.status != "True" or verdict is None:
        message = "There is no result to judge yet; the Complete condition says why."
        yield Finding("Passed", "Unknown", NOT_SAT, message)
        return
    message = ". ".join(f"{each.outcome}: {each.detail}" for each in verdict.limits) + "."
    match verdict.outcome:
        case "Passed":
            yield Finding("Passed", "True", "Passed", message)
        case "Failed":
            yield Finding("Passed", "False", "Failed", message)
        case "Inconclusive":
            yield Finding("Passed", "Unknown", "Inconclusive", message)


def _failures(exam: MCQExam, observed: ObservedExam, stored: list[Sitting]) -> Iterator[Failure]:
    """Yield why the exam can't run."""
    yield from object_failures(observed.conflicts, observed.blocked, observed.refused, kind=exam.KEY.KIND)
    job = observed.job
    if job is None:
        return
    name = job["metadata"]["name"]
    if (ended := jobs.condition(job, "Failed")) is not None:
        message = jobs.termination_message(observed.pods, name, container=PODS.container) or ended.get(
            "message", ""
        )
        unreadable = ended.get("reason") == "PodFailurePolicy"
        yield Failure(
            reason="ExamUnreadable" if unreadable else "SittingFailed",
            message=f"Job {name} failed: {quoted(message)} {evidence.rerun_advice(exam, name)}",
        )
    elif (unproven := evidence.problem(exam, observed, stored)) is not None:
        yield unproven
    elif jobs.running(job):
        for pod in observed.pods:
            if present(pod):
                yield from task_failures(pod, PODS)
        if observed.warning is not None:
            yield warning_failure(observed.warning)
