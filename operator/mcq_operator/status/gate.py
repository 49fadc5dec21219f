"""The gate of a change: it decides by the candidate's exam whether the change may reach users."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from mcq_operator.api import Condition, GateStatus, MCQExam, MCQSolver, names
from mcq_operator.api.gate_status import GatePhase
from mcq_operator.api.observed import ObservedSolver
from mcq_operator.api.resource_status import LONGEST_MESSAGE

from . import gate_override, loaded_model, watch
from .finding import Failure, Finding

TOLERANCE_SECONDS = 120.0
"""How long a candidate or an exam may be degraded before the change is refused: images and nodes may be slow."""
TOLERATED = frozenset(
    {"Unschedulable", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "ModelUnreachable"}
)
"""Reasons that may go away with time: a node joins, a volume is released, a node's network comes up, a source answers.
They are tolerated until the candidate's progress deadline, which is its time to start plus five minutes for a node."""
FINAL = frozenset({"ExamUnreadable", "SittingFailed"})
"""Reasons that an exam does not recover from."""
OTHER_IMAGE = "ImageNotExamined"
ENDED: frozenset[GatePhase] = frozenset({"Passed", "Refused", "Inconclusive", "Overridden"})
PROMOTED: frozenset[GatePhase] = frozenset({"Passed", "Overridden"})


@dataclass(frozen=True, kw_only=True)
class GateObjects:
    """The observed objects that the gate waits for.

    Attributes:
        exam: the exam that the gate names.
        candidate: the solver that runs the change.
        candidate_exam: the candidate's exam.
        candidate_digest: the digest of the replicas that must take it.

    """

    exam: MCQExam | None
    candidate: MCQSolver | None
    candidate_exam: MCQExam | None
    candidate_digest: str


def holds(gate: GateStatus | None) -> bool:
    """Return whether the gate keeps the change from users, for now or for good."""
    return gate is not None and gate.phase not in PROMOTED


def may_try_again(gate: GateStatus, attempt: str) -> bool:
    """Return whether a change that did not pass takes the exam again, because another attempt may end otherwise.

    A change that was worse for users comes back only if a person asks for it.
    """
    ended = gate.phase in ENDED and not watch.refused(gate)
    return ended and bool(gate.attempt and attempt) and gate.attempt != attempt


def lost(gate: GateStatus | None) -> bool:
    """Return whether the gate holds a change, and the template of the earlier replicas is gone."""
    return gate is not None and holds(gate) and not gate.replica_set


def lost_replicas(solver: MCQSolver, gate: GateStatus | None) -> Failure | None:
    """Return what to do if no replicas can answer while the gate holds a change."""
    if gate is None or not lost(gate):
        return None
    message = (
        "The gate holds a change, and the replicas before it are gone with their Deployment and ReplicaSets, so the"
        f" operator starts none. Change the spec back, or {_let_through(solver, gate)}"
    )
    return Failure(reason="PreviousReplicasLost", message=message)


def advance(solver: MCQSolver, gate: GateStatus, objects: GateObjects, *, now: datetime) -> GateStatus:
    """Return the gate's next state for one observation."""
    if holds(gate) and (approval := gate_override.approval(solver, gate)) is not None:
        message = (
            f"The annotation {names.PROMOTE_ANNOTATION} promoted the change, which has not passed: {approval}."
            f" The gate's message before: {gate.message}"
        )
        return _to(gate, "Overridden", "Overridden", message)
    if gate.phase in ENDED:
        return gate
    spec = solver.spec.rollout.gate
    name = spec.exam_ref.name if spec else ""
    if objects.exam is None:
        message = (
            f"There is no MCQExam {name} in this namespace: create it, or correct spec.rollout.gate.examRef."
        )
        return _to(gate, "Waiting", "ExamNotFound", message)
    if objects.exam.spec.solver_ref.name != solver.name:
        message = f"MCQExam {name} belongs to MCQSolver {objects.exam.spec.solver_ref.name}, not to this one."
        return _to(gate, "Waiting", "ExamOfAnother", message)
    exam_status = objects.exam.status
    if not exam_status.is_true("Complete") or exam_status.template_digest != gate.template_digest:
        return _no_baseline(
            solver, gate, objects.exam, problem="The current replicas have no result to compare with."
        )
    if exam_status.report is None or exam_status.report.digest is None:
        return _no_baseline(solver, gate, objects.exam, problem="No Pod proves the current replicas' result.")
    return _follow_candidate(solver, gate, objects, now=now)


def _no_baseline(solver: MCQSolver, gate: GateStatus, exam: MCQExam, *, problem: str) -> GateStatus:
    """Return the gate of a change that waits for a result, except of one back to replicas that answered."""
    if gate.change and gate.change == solver.status.previous and not solver.status.answering:
        message = (
            "This change took no exam: the replicas of the last change don't answer, and it goes back to the change"
            " before that one. status.override records this."
        )
        return _to(gate, "Overridden", gate_override.CHANGED_BACK, message)
    what_next = advice(solver, gate, replicas="The current replicas stay until then.")
    return _to(gate, "Waiting", "NoBaseline", f"{problem} {_message(exam, 'Complete')} {what_next}")


def _follow_candidate(
    solver: MCQSolver, gate: GateStatus, objects: GateObjects, *, now: datetime
) -> GateStatus:
    candidate, candidate_exam = objects.candidate, objects.candidate_exam
    name = f"MCQSolver {names.candidate_name(solver)}"
    if (
        candidate is None
        or candidate_exam is None
        or not (_is_current(candidate) and _is_current(candidate_exam))
    ):
        return _to(gate, "Sitting", "CandidateStarting", f"{name} starts.")
    # The exam's status may still be about an earlier candidate, and the candidate may still have earlier replicas.
    digests = {candidate_exam.status.template_digest, candidate.status.template_digest}
    current = digests == {objects.candidate_digest}
    if current and candidate_exam.status.is_true("Complete"):
        return _decide(solver, gate, candidate, candidate_exam)
    if current and (detail := _lasting_failure(candidate_exam, now, at_once=FINAL)) is not None:
        message = f"The exam could not run. {detail} {advice(solver, gate)}{_try_again(solver)}"
        return _to(gate, "Refused", "ExamFailed", message)
    if (failed := _start_failure(candidate, now)) is not None:
        message = f"{name} did not become ready. {failed} {advice(solver, gate)}{_try_again(solver)}"
        return _to(gate, "Refused", "CandidateNotReady", message)
    if not candidate.status.is_true("Ready"):
        detail = _message(candidate, "Ready")
        return _to(gate, "Sitting", "CandidateStarting", f"{name} starts. {detail}")
    detail = _message(candidate_exam, "Complete")
    return _to(gate, "Sitting", "CandidateSitting", f"{name} takes the exam. {detail}")


def _is_current(resource: MCQSolver | MCQExam) -> bool:
    """Return whether the status is about the present generation of the spec."""
    return resource.status.observed_generation == resource.metadata.generation


def _decide(solver: MCQSolver, gate: GateStatus, candidate: MCQSolver, candidate_exam: MCQExam) -> GateStatus:
    passed = candidate_exam.status.condition("Passed")
    if passed is None or passed.reason == "NotSat":
        return gate
    figures = f"{passed.message} {_message(candidate_exam, 'Complete')}."
    match passed.reason:
        case "Passed":
            gate = gate.model_copy(update={"image": candidate.status.image})
            if less := gate_override.loosened(solver):
                message = f"{figures} But the gate was loosened with this change or before it: {less}."
                return _to(gate, "Overridden", gate_override.LOOSENED, message)
            return _to(gate, "Passed", "Passed", figures)
        case "Inconclusive":
            why = "The exam has too few questions to decide, so the change does not pass."
            return _to(gate, "Inconclusive", "Inconclusive", f"{figures} {why} {advice(solver, gate)}")
    return _to(gate, "Refused", "ExamNotPassed", f"{figures} {advice(solver, gate)}")


def advice(
    solver: MCQSolver, gate: GateStatus, *, replicas: str = "The previous replicas go on answering."
) -> str:
    """Return which replicas answer, and what a person can do about a change that is not promoted."""
    return f"{replicas} Change the spec, or {_let_through(solver, gate)}"


def _try_again(solver: MCQSolver) -> str:
    return (
        f" To try again without a change: kubectl annotate --overwrite mcq -n {solver.namespace} {solver.name}"
        f' {names.RETRY_ANNOTATION}="$(date)"'
    )


def _let_through(solver: MCQSolver, gate: GateStatus) -> str:
    return (
        f"let this change through once: kubectl annotate --overwrite mcq -n {solver.namespace} {solver.name}"
        f' {names.PROMOTE_ANNOTATION}="{gate.change} WHO: WHY"'
    )


def _start_failure(candidate: MCQSolver, now: datetime) -> str | None:
    """Return why the candidate will not become ready, or None while it may."""
    progressing = candidate.status.condition("Progressing")
    if progressing is not None and progressing.reason == "ProgressDeadlineExceeded":
        return progressing.message
    return _lasting_failure(candidate, now)


def _lasting_failure(
    resource: MCQSolver | MCQExam, now: datetime, *, at_once: Collection[str] = ()
) -> str | None:
    """Return the problem of a resource that is degraded for long, or for one of the `at_once` reasons."""
    degraded = resource.status.condition("Degraded")
    if degraded is None or degraded.status != "True":
        return None
    lasts = degraded.reason not in TOLERATED and _age(degraded, now) >= TOLERANCE_SECONDS
    return degraded.message if degraded.reason in at_once or lasts else None


def retry_in(gate: GateStatus | None) -> float | None:
    """Return in how many seconds to look again without an event: a candidate's problem becomes final by time alone."""
    return TOLERANCE_SECONDS / 4 if gate and gate.phase == "Sitting" else None


def finding(solver: MCQSolver, gate: GateStatus | None, observed: ObservedSolver) -> Finding | None:
    """Return the condition ExamPassed, if the solver has a gate or had one before the last change."""
    if gate is None:
        if solver.spec.rollout.gate is None:
            return None
        message = "No change has had to pass the exam yet: the first replicas have no baseline."
        return Finding("ExamPassed", "Unknown", "NoChange", message)
    message = gate.message + (gate_override.unused_annotation(solver, gate) if holds(gate) else "")
    if (problem := lost_replicas(solver, gate)) is not None:
        message = f"{problem.message} The gate's message: {message}"[:LONGEST_MESSAGE]
    match gate.phase:
        case "Passed" if (other := _other_image(solver, gate, observed)) is not None:
            return Finding("ExamPassed", "Unknown", OTHER_IMAGE, other)
        case "Passed":
            return Finding("ExamPassed", "True", gate.reason, message)
        case "Refused":
            return Finding("ExamPassed", "False", gate.reason, message)
    return Finding("ExamPassed", "Unknown", gate.reason, message)


def _other_image(solver: MCQSolver, gate: GateStatus, observed: ObservedSolver) -> str | None:
    """Return a message if, after the roll-out, replicas run another image than the one that passed."""
    deployment, recorded = observed.deployment, solver.status.gate
    known = any(each.reason == OTHER_IMAGE for each in solver.status.conditions)
    rolled_out = (
        recorded is not None and not holds(recorded) and deployment is not None and deployment.complete
    )
    if not gate.image or not (rolled_out or known):
        return None
    others = loaded_model.images(observed.pods) - {gate.image}
    if not others:
        return None
    return (
        f"Replicas run the image {', '.join(sorted(others))}, but {gate.image} passed the exam: someone moved the tag"
        " meanwhile. Name the image by its digest, in spec.image or, for all solvers, in the operator's"
        " MCQ_OPERATOR_SERVICE_IMAGE."
    )


def _to(gate: GateStatus, phase: GatePhase, reason: str, message: str) -> GateStatus:
    return gate.model_copy(update={"phase": phase, "reason": reason, "message": message[:LONGEST_MESSAGE]})


def _message(resource: MCQSolver | MCQExam, kind: str) -> str:
    condition = resource.status.condition(kind)
    return condition.message if condition else ""


def _age(condition: Condition, now: datetime) -> float:
    return (now - datetime.fromisoformat(condition.last_transition_time)).total_seconds()
