"""Whether a change may reach users: what became of its candidate's exam."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from mcq_operator.models import Condition, GateStatus, MCQExam, MCQSolver, names
from mcq_operator.models.observed import Observed
from mcq_operator.models.status import LONGEST_MESSAGE, GatePhase

from . import loaded, waiver
from .finding import Finding

PATIENCE_SECONDS = 120.0
"""For how long candidate or exam may be degraded before it is refused: an image may come late, a node may be slow."""
PATIENT = frozenset({"Unschedulable", "FailedMount", "FailedAttachVolume", "ModelUnreachable"})
"""What time may mend: a node is added, a volume is let go, a source answers. It lasts until the candidate's own
deadline, which is its time to start and five minutes for a node."""
FINAL = frozenset({"ExamUnreadable", "SittingFailed"})
"""What an exam does not recover from."""
OTHER_IMAGE = "ImageNotExamined"
ENDED: frozenset[GatePhase] = frozenset({"Passed", "Refused", "Inconclusive", "Overridden"})
THROUGH: frozenset[GatePhase] = frozenset({"Passed", "Overridden"})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One look at what the gate waits for.

    Attributes:
        exam: the exam that the gate names.
        candidate: the solver that sits it for the change.
        sitting: its exam.

    """

    exam: MCQExam | None
    candidate: MCQSolver | None
    sitting: MCQExam | None


def holds(gate: GateStatus | None) -> bool:
    """Whether the change is kept from users, still or for good."""
    return gate is not None and gate.phase not in THROUGH


def advanced(solver: MCQSolver, gate: GateStatus, seen: Seen, *, now: datetime) -> GateStatus:
    """The gate after one look."""
    if holds(gate) and (said := waiver.approval(solver, gate)) is not None:
        message = (
            f"Promoted without having passed, by the annotation {names.PROMOTE_ANNOTATION}: {said}."
            f" Before, the gate said: {gate.message}"
        )
        return _to(gate, "Overridden", "Overridden", message)
    if gate.phase in ENDED:
        return gate
    name = _exam_name(solver)
    if seen.exam is None:
        message = (
            f"There is no MCQExam {name} in this namespace: create it, or correct spec.rollout.gate.examRef."
        )
        return _to(gate, "Waiting", "ExamNotFound", message)
    if seen.exam.spec.solver_ref.name != solver.name:
        message = f"MCQExam {name} is not this solver's, but of {seen.exam.spec.solver_ref.name}."
        return _to(gate, "Waiting", "ExamOfAnother", message)
    told = seen.exam.status
    if not told.is_true("Complete") or told.template_digest != gate.template_digest:
        why = _message(seen.exam, "Complete")
        return _to(
            gate, "Waiting", "NoBaseline", f"The present replicas have no result to compare with. {why}"
        )
    if told.report is None or told.report.digest is None:
        why = _message(seen.exam, "Complete")
        return _to(gate, "Waiting", "NoBaseline", f"No Pod proves the present replicas' result. {why}")
    return _sat(solver, gate, seen, now=now)


def _sat(solver: MCQSolver, gate: GateStatus, seen: Seen, *, now: datetime) -> GateStatus:
    candidate, sitting = seen.candidate, seen.sitting
    mine = f"MCQSolver {names.candidate_name(solver)}"
    if candidate is None or sitting is None or not (_seen(candidate) and _seen(sitting)):
        return _to(gate, "Sitting", "CandidateStarting", f"{mine} is brought up.")
    # What the exam says of a candidate before this one, says nothing of this one.
    current = sitting.status.template_digest == candidate.status.template_digest
    if current and sitting.status.is_true("Complete"):
        return _judged(solver, gate, candidate, sitting)
    if current and (why := _lasting(sitting, now, at_once=FINAL)) is not None:
        return _to(gate, "Refused", "ExamFailed", f"The exam could not be sat. {why} {_kept(solver, gate)}")
    if (late := _hopeless(candidate, now)) is not None:
        return _to(
            gate, "Refused", "CandidateNotReady", f"{mine} did not get ready. {late} {_kept(solver, gate)}"
        )
    if not candidate.status.is_true("Ready"):
        why = _message(candidate, "Ready")
        return _to(gate, "Sitting", "CandidateStarting", f"{mine} is brought up. {why}")
    why = _message(sitting, "Complete")
    return _to(gate, "Sitting", "CandidateSitting", f"{mine} sits the exam. {why}")


def _seen(resource: MCQSolver | MCQExam) -> bool:
    """Whether its status is about its present spec: another one's, of a change before, says nothing of this one."""
    return resource.status.observed_generation == resource.metadata.generation


def _judged(solver: MCQSolver, gate: GateStatus, candidate: MCQSolver, sitting: MCQExam) -> GateStatus:
    passed = next((each for each in sitting.status.conditions if each.type == "Passed"), None)
    if passed is None or passed.reason == "NotSat":
        return gate
    figures = f"{passed.message} {_message(sitting, 'Complete')}."
    match passed.reason:
        case "Passed":
            gate = gate.model_copy(update={"image": candidate.status.image})
            if less := waiver.loosened(solver):
                words = (
                    f"{figures} But with this change, or before it, the gate was made to ask less: {less}."
                )
                return _to(gate, "Overridden", waiver.LOOSENED, words)
            return _to(gate, "Passed", "Passed", figures)
        case "Inconclusive":
            advice = f"Too few questions to tell, which is no pass. {_kept(solver, gate)}"
            return _to(gate, "Inconclusive", "Inconclusive", f"{figures} {advice}")
    return _to(gate, "Refused", "ExamNotPassed", f"{figures} {_kept(solver, gate)}")


def _kept(solver: MCQSolver, gate: GateStatus) -> str:
    return (
        "The replicas of before go on answering. Change the spec, or let this change through once: kubectl annotate"
        f" --overwrite mcq -n {solver.namespace} {solver.name}"
        f' {names.PROMOTE_ANNOTATION}="{gate.change} WHO: WHY"'
    )


def _hopeless(candidate: MCQSolver, now: datetime) -> str | None:
    """Why the candidate will not get ready, or None while it may."""
    for each in candidate.status.conditions:
        if each.type == "Progressing" and each.reason == "ProgressDeadlineExceeded":
            return each.message
    return _lasting(candidate, now)


def _lasting(resource: MCQSolver | MCQExam, now: datetime, *, at_once: Collection[str] = ()) -> str | None:
    """What is wrong with it and has been so for long, or is of a kind that time does not mend."""
    for each in resource.status.conditions:
        wrong = each.type == "Degraded" and each.status == "True"
        lasts = each.reason not in PATIENT and _age(each, now) >= PATIENCE_SECONDS
        if wrong and (each.reason in at_once or lasts):
            return each.message
    return None


def retry_in(gate: GateStatus | None) -> float | None:
    """When to look without an event: a candidate's troubles may last, and time alone tells."""
    return PATIENCE_SECONDS / 4 if gate and gate.phase == "Sitting" else None


def finding(solver: MCQSolver, gate: GateStatus | None, observed: Observed) -> Finding | None:
    """The condition ExamPassed, where there is a gate, or was one before the last change."""
    if gate is None:
        if solver.spec.rollout.gate is None:
            return None
        message = "No change had to pass the exam yet: the first replicas have nothing to be compared with."
        return Finding("ExamPassed", "Unknown", "NoChange", message)
    message = gate.message + (waiver.unheeded(solver, gate) if holds(gate) else "")
    match gate.phase:
        case "Passed" if (other := _other_image(solver, gate, observed)) is not None:
            return Finding("ExamPassed", "Unknown", OTHER_IMAGE, other)
        case "Passed":
            return Finding("ExamPassed", "True", gate.reason, message)
        case "Refused":
            return Finding("ExamPassed", "False", gate.reason, message)
    return Finding("ExamPassed", "Unknown", gate.reason, message)


def _other_image(solver: MCQSolver, gate: GateStatus, observed: Observed) -> str | None:
    """Say that replicas run another image than the one that passed, once those of the change have been rolled out."""
    deployment, told = observed.deployment, solver.status.gate
    known = any(each.reason == OTHER_IMAGE for each in solver.status.conditions)
    rolled_out = told is not None and not holds(told) and deployment is not None and deployment.complete
    if not gate.image or not (rolled_out or known):
        return None
    others = loaded.images(observed.pods) - {gate.image}
    if not others:
        return None
    return (
        f"Replicas run the image {', '.join(sorted(others))}, but {gate.image} passed the exam: the tag was moved"
        " meanwhile. Name the image by its digest, in spec.image or, for all solvers, in the operator's"
        " MCQ_OPERATOR_SERVICE_IMAGE."
    )


def _to(gate: GateStatus, phase: GatePhase, reason: str, message: str) -> GateStatus:
    return gate.model_copy(update={"phase": phase, "reason": reason, "message": message[:LONGEST_MESSAGE]})


def _exam_name(solver: MCQSolver) -> str:
    gate = solver.spec.rollout.gate
    return gate.exam_ref.name if gate else ""


def _message(resource: MCQSolver | MCQExam, kind: str) -> str:
    return next((each.message for each in resource.status.conditions if each.type == kind), "")


def _age(condition: Condition, now: datetime) -> float:
    return (now - datetime.fromisoformat(condition.last_transition_time)).total_seconds()
