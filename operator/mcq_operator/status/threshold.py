"""The minimum confidence for spec.answering.targetAccuracy, from the solver's last exam.

An exam's status has its risk-coverage curve only from a result that its Pods proved (evidence.py), and the intervals
of the curve hold for all its points at once. So the operator takes the point of greatest coverage with a low end that
reaches the target accuracy. Replicas keep the last threshold while there is no better one; before the first, they
abstain from every question.

A new minimum confidence is a roll-out, so an exam that confirms the present one changes nothing, even if it would
allow a slightly lower one.
"""

from collections.abc import Sequence
from dataclasses import replace

from mcq_operator.api import MCQExam, MCQSolver
from mcq_operator.api.exam_status import CoveragePoint
from mcq_operator.api.solver_status import Threshold

from .finding import Finding

TYPE = "ThresholdReady"
SLACK = 0.02
"""How far the minimum confidence may be above the one that the newest exam of the same replicas allows."""
MAX_UNANSWERED = 0.05
"""The largest share of unanswered questions in a usable exam: they say nothing about the others."""


def decide(solver: MCQSolver, exams: Sequence[MCQExam]) -> Threshold | None:
    """Return the threshold for the replicas: the one of the solver's exam, or else the recorded one."""
    target, recorded = solver.spec.answering.target_accuracy, solver.status.threshold
    if target is None:
        return None
    exam = _chosen(solver, exams)
    if exam is None or _problem(solver, exam, solver.status.template_digest) is not None:
        return recorded
    point, status = _point(exam, target), exam.status
    if point is None or status.report is None:
        return recorded
    decided = Threshold(
        **dict(point),
        target_accuracy=target,
        exam=exam.name,
        count=status.count or 0,
        sat=status.sat or "",
        report_digest=status.report.digest or "",
        template_digest=status.template_digest,
    )
    return recorded if recorded is not None and _confirms(decided, recorded) else decided


def finding(
    solver: MCQSolver, exams: Sequence[MCQExam], *, template_digest: str, held: bool
) -> Finding | None:
    """Return the condition, if the spec has a target accuracy.

    `template_digest` identifies the replicas in force; `held` says that they are those of an earlier spec.
    """
    target, threshold = solver.spec.answering.target_accuracy, solver.status.threshold
    if target is None:
        return None
    if held:
        message = (
            "Replicas of an earlier spec or release answer, with the minimum confidence that they had; the Ready and"
            " Progressing conditions say why."
        )
        return Finding(TYPE, "Unknown", "NotRolledOut", message)
    exam = _chosen(solver, exams)
    if exam is None:
        message = f"No MCQExam measures this solver: create one with spec.solverRef.name {solver.name}."
        return Finding(TYPE, "False", "NoExam", f"{message} {_meanwhile(threshold)}")
    if (problem := _problem(solver, exam, template_digest)) is not None:
        return replace(problem, message=f"{problem.message} {_meanwhile(threshold)}")
    if threshold is None or _point(exam, target) is None:
        message = (
            f"The {exam.status.count} questions of MCQExam {exam.name} show no minimum confidence with an accuracy of"
            f" at least {target:g}; the best is {_best(exam):g}. Add questions, lower"
            " spec.answering.targetAccuracy, or take a better model."
        )
        return Finding(TYPE, "False", "AccuracyNotReached", f"{message} {_meanwhile(threshold)}")
    message = (
        f"Replicas abstain below a confidence of {threshold.min_confidence:g}. In MCQExam {threshold.exam},"
        f" {threshold.coverage:.1%} of {threshold.count} questions reach it, and {threshold.accuracy:.1%} of these are"
        f" right (95 % interval {threshold.interval.low:.1%} to {threshold.interval.high:.1%})."
    )
    return Finding(TYPE, "True", "AccuracyReached", message)


def _chosen(solver: MCQSolver, exams: Sequence[MCQExam]) -> MCQExam | None:
    """Return the gate's exam, else the recorded threshold's, else the newest.

    Two exams must not take turns.
    """
    gate, recorded = solver.spec.rollout.gate, solver.status.threshold
    by_name = {each.name: each for each in exams}
    preferred = [gate.exam_ref.name if gate else None, recorded.exam if recorded else None]
    named = next((by_name[name] for name in preferred if name in by_name), None)
    return named or max(exams, key=lambda each: (each.status.sat or "", each.name), default=None)


def _problem(solver: MCQSolver, exam: MCQExam, template_digest: str) -> Finding | None:
    """Return the condition without its end if the exam gives no threshold."""
    status, debias = exam.status, solver.spec.answering.debias
    if exam.spec.debias not in {None, debias}:
        message = (
            f"MCQExam {exam.name} asks with debias {exam.spec.debias}, and this solver answers with {debias}: remove"
            " spec.debias from the exam."
        )
        return Finding(TYPE, "False", "ExamUnusable", message)
    proven = status.report is not None and status.report.digest is not None and status.sat is not None
    if not proven or not status.is_true("Complete") or status.template_digest != template_digest:
        complete = status.condition("Complete")
        message = f"MCQExam {exam.name} has no proven result of the current replicas."
        detail = complete.message if complete else ""
        return Finding(TYPE, "Unknown", "ExamPending", f"{message} {detail}".rstrip())
    if not status.risk_coverage:
        message = (
            f"The result of MCQExam {exam.name} has no risk-coverage curve: it is from an older release of the"
            " service's image. Run the exam again with this release's."
        )
        return Finding(TYPE, "False", "ExamUnusable", message)
    count, unanswered = status.count or 0, status.unanswered or 0
    if unanswered > MAX_UNANSWERED * (count + unanswered):
        message = (
            f"{unanswered} of {count + unanswered} questions of MCQExam {exam.name} got no answer, more than"
            f" {MAX_UNANSWERED:.0%}. Its report names them; run it again."
        )
        return Finding(TYPE, "False", "ExamUnusable", message)
    return None


def _point(exam: MCQExam, target: float) -> CoveragePoint | None:
    """Return the point of greatest coverage with an interval above the target accuracy, or None."""
    reaching = [each for each in exam.status.risk_coverage or [] if each.interval.low >= target]
    return max(reaching, key=lambda each: each.coverage, default=None)


def _best(exam: MCQExam) -> float:
    """Return the greatest accuracy that the exam shows for any minimum confidence."""
    return max((each.interval.low for each in exam.status.risk_coverage or []), default=0)


def _confirms(decided: Threshold, recorded: Threshold) -> bool:
    """Return whether a newer exam of the same replicas gives no reason to change the minimum confidence."""
    same = ("target_accuracy", "template_digest", "exam")
    return all(getattr(decided, name) == getattr(recorded, name) for name in same) and (
        decided.min_confidence <= recorded.min_confidence <= decided.min_confidence + SLACK
    )


def _meanwhile(threshold: Threshold | None) -> str:
    if threshold is None:
        return "Until then, replicas abstain from every question."
    return (
        f"Until then, replicas keep the minimum confidence {threshold.min_confidence:g}, from MCQExam"
        f" {threshold.exam} of {threshold.sat}."
    )
