"""The state of a gated change, for each observation of its exam and its candidate."""

from datetime import timedelta
from typing import Any, Literal

import pytest
from tests.operator import support
from tests.operator.support import NOON, deployment, solver

from mcq_operator import status
from mcq_operator.api import GateStatus, MCQExam, MCQSolver, SolverStatus
from mcq_operator.api.observed import CanaryVerdict, ObservedSolver
from mcq_operator.status.gate import GateObjects, advance, finding, holds, retry_in
from mcq_operator.status.transitions import stamp

PATIENCE_SECONDS = 120
"""The time that docs/gates.md gives a degraded candidate."""
PROMOTE = "mcq-operator.dev/promote"
EMPTY = ObservedSolver()
SITTING = GateStatus(
    candidate="c",
    change="0123456789abcdef",
    generation=2,
    phase="Sitting",
    replica_set="demo-1",
    template_digest="before",
    reason="CandidateStarting",
    message="",
)


def condition(
    kind: str, status: str, reason: str = "R", *, age: float = 0, message: str = ""
) -> dict[str, Any]:
    """Return a condition that has not changed for `age` seconds."""
    since = stamp(NOON - timedelta(seconds=age))
    message = message or f"{reason}."
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}


def exam(
    *conditions: dict[str, Any],
    of: str = "demo",
    digest: str = "before",
    proof: str | None = "sha256:r",
) -> MCQExam:
    """Return an exam with these conditions, its replicas' digest and its result's proof."""
    status = {
        "observedGeneration": 1,
        "templateDigest": digest,
        "conditions": [*conditions],
        "report": {"configMap": "aqua-results", "name": "sat", "digest": proof},
    }
    return support.exam({"solverRef": {"name": of}}, status=status)


def gated(
    annotations: dict[str, str] | None = None, *, status: dict[str, Any] | None = None, **gate: Any
) -> MCQSolver:
    """Return a solver with a gate."""
    gate_spec = {"examRef": {"name": "aqua"}, "maxRegression": 0.1, **gate}
    return solver({"rollout": {"gate": gate_spec}}, status=status, annotations=annotations or {})


def candidate(*conditions: dict[str, Any], observed: int = 2) -> MCQSolver:
    """Return the solver that takes the exam for the change."""
    reported = {"observedGeneration": observed, "templateDigest": "after", "conditions": [*conditions]}
    return solver(status=reported)


def gate_objects(**changes: Any) -> GateObjects:
    """Return the objects of a ready candidate that takes the exam, with the changes."""
    actual: dict[str, Any] = {
        "exam": exam(condition("Complete", "True")),
        "candidate": candidate(condition("Ready", "True")),
        "candidate_exam": exam(
            condition("Complete", "False", "Sitting"), of="demo-candidate", digest="after"
        ),
        "candidate_digest": "after",
    }
    return GateObjects(**{**actual, **changes})


def finished_exam(reason: str, *, digest: str = "after") -> MCQExam:
    """Return the candidate's exam with this verdict on the replicas of this digest."""
    status = {"Passed": "True", "NotPassed": "False"}.get(reason, "Unknown")
    return exam(
        condition("Complete", "True", message="0.9 of 100"),
        condition("Passed", status, reason, message="The verdict."),
        of="demo-candidate",
        digest=digest,
    )


def failed_exam(reason: str, *, age: float = 0) -> MCQExam:
    """Return the candidate's exam, which can't run."""
    reported_failure = condition("Degraded", "True", reason, age=age)
    return exam(condition("Complete", "False"), reported_failure, of="demo-candidate", digest="after")


def degraded_candidate(age: float, reason: str = "ImagePullBackOff") -> MCQSolver:
    """Return a candidate that has been degraded for `age` seconds."""
    reported_failure = condition("Degraded", "True", reason, age=age, message="no such image")
    return candidate(condition("Ready", "False", reason, message="no such image"), reported_failure)


def overdue_candidate() -> MCQSolver:
    """Return a candidate with a Deployment past its deadline."""
    return candidate(condition("Progressing", "False", "ProgressDeadlineExceeded"))


def next_status(
    known: MCQSolver,
    change: GateStatus | None,
    identity: str,
    *,
    canary: Literal["answered", "failed", "pending"] = "answered",
    **observed: Any,
) -> SolverStatus:
    """Return the next status of a solver with replicas that answer, or not."""
    return status.of(
        known,
        observed=ObservedSolver(**{"deployment": deployment(), **observed}),
        verdict=CanaryVerdict(outcome=canary),
        inventory=[],
        replicas_digest="d",
        template_digest="d",
        change=change,
        identity=identity,
        now=NOON,
    )


def stored(reported: SolverStatus) -> dict[str, Any]:
    return reported.model_dump(by_alias=True, exclude_none=True)


def exam_condition(reported: SolverStatus) -> tuple[str, str] | None:
    return next(
        ((each.status, each.reason) for each in reported.conditions if each.type == "ExamPassed"), None
    )


@pytest.mark.parametrize(
    ("objects", "phase", "reason"),
    [
        (gate_objects(exam=None), "Waiting", "ExamNotFound"),
        (gate_objects(exam=exam(condition("Complete", "True"), of="other")), "Waiting", "ExamOfAnother"),
        (gate_objects(exam=exam(condition("Complete", "False"))), "Waiting", "NoBaseline"),
        (gate_objects(exam=exam(condition("Complete", "True"), digest="earlier")), "Waiting", "NoBaseline"),
        (
            gate_objects(exam=exam(condition("Complete", "True", "Restored"), proof=None)),
            "Waiting",
            "NoBaseline",
        ),
        (gate_objects(candidate=None), "Sitting", "CandidateStarting"),
        (gate_objects(candidate_exam=None), "Sitting", "CandidateStarting"),
        (
            gate_objects(candidate=candidate(condition("Ready", "True"), observed=1)),
            "Sitting",
            "CandidateStarting",
        ),
        (gate_objects(candidate=candidate(condition("Ready", "False"))), "Sitting", "CandidateStarting"),
        (gate_objects(), "Sitting", "CandidateSitting"),
        (gate_objects(candidate_exam=finished_exam("Passed")), "Passed", "Passed"),
        (gate_objects(candidate_exam=finished_exam("NotPassed")), "Refused", "ExamNotPassed"),
        (gate_objects(candidate_exam=finished_exam("Inconclusive")), "Inconclusive", "Inconclusive"),
        (
            gate_objects(candidate_exam=finished_exam("Passed", digest="earlier")),
            "Sitting",
            "CandidateSitting",
        ),
        (
            # An upgrade of the operator changed the candidate; its earlier replicas took the exam.
            gate_objects(candidate_exam=finished_exam("Passed"), candidate_digest="upgraded"),
            "Sitting",
            "CandidateSitting",
        ),
        (gate_objects(candidate_exam=failed_exam("SittingFailed")), "Refused", "ExamFailed"),
        (gate_objects(candidate_exam=failed_exam("ExamUnreadable")), "Refused", "ExamFailed"),
        (
            gate_objects(candidate_exam=failed_exam("ResultAltered", age=PATIENCE_SECONDS)),
            "Refused",
            "ExamFailed",
        ),
        (gate_objects(candidate_exam=finished_exam("Restored")), "Refused", "ExamNotPassed"),
        (
            gate_objects(candidate_exam=failed_exam("ImagePullBackOff", age=PATIENCE_SECONDS - 1)),
            "Sitting",
            "CandidateSitting",
        ),
        (
            gate_objects(candidate_exam=failed_exam("ImagePullBackOff", age=PATIENCE_SECONDS)),
            "Refused",
            "ExamFailed",
        ),
        (gate_objects(candidate=degraded_candidate(PATIENCE_SECONDS - 1)), "Sitting", "CandidateStarting"),
        (gate_objects(candidate=degraded_candidate(PATIENCE_SECONDS)), "Refused", "CandidateNotReady"),
        (gate_objects(candidate=overdue_candidate()), "Refused", "CandidateNotReady"),
        *(
            (
                gate_objects(candidate=degraded_candidate(20 * PATIENCE_SECONDS, reason)),
                "Sitting",
                "CandidateStarting",
            )
            for reason in ("Unschedulable", "FailedMount", "FailedCreatePodSandBox", "ModelUnreachable")
        ),
        (
            gate_objects(candidate_exam=failed_exam("Unschedulable", age=20 * PATIENCE_SECONDS)),
            "Sitting",
            "CandidateSitting",
        ),
    ],
)
def test_only_its_own_passed_exam_lets_a_change_through(
    objects: GateObjects, phase: str, reason: str
) -> None:
    gate = advance(gated(), SITTING, objects, now=NOON)
    assert (gate.phase, gate.reason) == (phase, reason)
    assert holds(gate) == (phase != "Passed")


@pytest.mark.parametrize(
    ("objects", "text"),
    [
        (gate_objects(candidate=degraded_candidate(1)), "no such image"),
        (gate_objects(candidate=degraded_candidate(PATIENCE_SECONDS)), "no such image"),
        (gate_objects(candidate_exam=failed_exam("ExamUnreadable")), "ExamUnreadable."),
        (gate_objects(candidate_exam=finished_exam("NotPassed")), "The verdict. 0.9 of 100."),
        (
            gate_objects(candidate_exam=finished_exam("NotPassed")),
            f'kubectl annotate --overwrite mcq -n team demo {PROMOTE}="0123456789abcdef WHO: WHY"',
        ),
        (
            gate_objects(candidate_exam=finished_exam("Inconclusive")),
            "The exam has too few questions to decide, so the change does not pass.",
        ),
        (gate_objects(exam=None), "There is no MCQExam aqua in this namespace"),
        *(
            (gate_objects(exam=each), f'{PROMOTE}="0123456789abcdef WHO: WHY"')
            for each in (
                exam(condition("Complete", "False")),
                exam(condition("Complete", "True"), proof=None),
            )
        ),
    ],
)
def test_the_message_has_the_cause_and_advice(objects: GateObjects, text: str) -> None:
    assert text in advance(gated(), SITTING, objects, now=NOON).message


@pytest.mark.parametrize("phase", ["Passed", "Refused", "Inconclusive", "Overridden"])
def test_later_observations_do_not_change_a_decision(phase: Any) -> None:
    decided = SITTING.model_copy(update={"phase": phase})
    assert (
        advance(gated(), decided, gate_objects(candidate_exam=finished_exam("Passed")), now=NOON) == decided
    )


@pytest.mark.parametrize(
    ("gate", "status"),
    [
        (None, "Unknown"),
        (SITTING, "Unknown"),
        (SITTING.model_copy(update={"phase": "Passed"}), "True"),
        (SITTING.model_copy(update={"phase": "Refused"}), "False"),
        (SITTING.model_copy(update={"phase": "Inconclusive"}), "Unknown"),
        (SITTING.model_copy(update={"phase": "Overridden"}), "Unknown"),
    ],
)
def test_the_condition_is_true_for_a_pass_alone(gate: GateStatus | None, status: str) -> None:
    reported = finding(gated(), gate, EMPTY)
    assert reported is not None
    assert reported.status == status


def test_without_a_gate_there_is_no_condition() -> None:
    assert finding(solver(), None, EMPTY) is None


def test_a_candidate_is_requeued_before_patience_ends_without_an_event() -> None:
    assert 0 < (retry_in(SITTING) or 0) < PATIENCE_SECONDS
    assert retry_in(SITTING.model_copy(update={"phase": "Refused"})) is None
    assert retry_in(None) is None


NO_REPLICA = deployment(ready=0, available=0)
REPLACING = deployment(replicas=4, available=3, updated=1)
"""The replicas that answer are not all of the newest spec."""


@pytest.mark.parametrize(
    ("observed", "canary"),
    [
        ({"deployment": None}, "answered"),
        ({"deployment": NO_REPLICA}, "answered"),
        ({"deployment": REPLACING}, "answered"),
        ({}, "pending"),
        ({}, "failed"),
    ],
)
def test_first_replicas_that_never_answered_do_not_gate_their_correction(
    observed: dict[str, Any], canary: Any
) -> None:
    broken = next_status(gated(), None, "typo", canary=canary, **observed)
    assert broken.promoted == ""
    corrected = next_status(gated(status=stored(broken)), None, "corrected")
    assert corrected.promoted == "corrected"
    fewer = next_status(gated(), None, "first", deployment=deployment(replicas=2, updated=2, available=1))
    assert fewer.promoted == "first"
    failing = next_status(gated(status=stored(corrected)), None, "corrected", canary="failed")
    assert failing.promoted == "corrected"


def broken_change() -> SolverStatus:
    """Return the status after a change that passed its gate: its replicas don't start."""
    before = next_status(gated(), None, "a")
    passed = SITTING.model_copy(update={"phase": "Passed", "change": "b", "previous": "a"})
    promoted = next_status(gated(status=stored(before)), passed, "b")
    return next_status(gated(status=stored(promoted)), passed, "b", deployment=NO_REPLICA, canary="failed")


def waiting_change(change: str) -> GateStatus:
    return SITTING.model_copy(
        update={"phase": "Waiting", "change": change, "previous": "b", "template_digest": "b"}
    )


def test_a_change_back_from_replicas_that_do_not_answer_needs_no_exam() -> None:
    """The status records it. A correction that was never promoted waits, and does not end the way back."""
    known = broken_change()
    assert (known.promoted, known.answering) == ("b", False)
    correction = advance(gated(status=stored(known)), waiting_change("c"), gate_objects(), now=NOON)
    assert (correction.phase, correction.reason) == ("Waiting", "NoBaseline")
    known = next_status(gated(status=stored(known)), correction, "c", deployment=NO_REPLICA, canary="failed")
    back = advance(gated(status=stored(known)), waiting_change("a"), gate_objects(), now=NOON)
    assert (back.phase, back.reason) == ("Overridden", "ChangedBack")
    after = next_status(gated(status=stored(known)), back, "a", deployment=NO_REPLICA, canary="failed")
    assert after.promoted == "a"
    assert after.override is not None
    assert (after.override.reason, after.override.change) == ("ChangedBack", "a")
    # The broken change is not the way back of its own correction.
    assert after.previous != "b"


def test_a_change_back_from_replicas_that_answer_takes_the_exam() -> None:
    answering = broken_change().model_copy(update={"answering": True})
    gate = advance(gated(status=stored(answering)), waiting_change("a"), gate_objects(), now=NOON)
    assert (gate.phase, gate.reason) == ("Waiting", "NoBaseline")


def test_a_change_that_the_watch_refused_is_no_way_back() -> None:
    before = next_status(gated(), None, "a")
    passed = SITTING.model_copy(update={"phase": "Passed", "change": "b", "previous": "a"})
    promoted = next_status(gated(status=stored(before)), passed, "b")
    refused = passed.model_copy(update={"phase": "Refused", "reason": "WorseThanBefore"})
    after = next_status(gated(status=stored(promoted)), refused, "b")
    assert (after.promoted, after.previous) == ("a", "a")


@pytest.mark.parametrize("phase", ["Waiting", "Sitting", "Refused", "Inconclusive"])
def test_lost_replicas_of_before_a_held_change_are_a_failure_with_advice(phase: Any) -> None:
    held = SITTING.model_copy(update={"phase": phase, "replica_set": "", "message": "The verdict."})
    reported = next_status(gated(status={"promoted": "old"}), held, "new", deployment=None)
    assert reported.promoted == "old"
    conditions = {each.type: each for each in reported.conditions}
    for kind, value in (
        ("Ready", "False"),
        ("Available", "False"),
        ("Degraded", "True"),
        ("Progressing", "False"),
    ):
        assert (conditions[kind].status, conditions[kind].reason) == (value, "PreviousReplicasLost")
    for kind in ("Ready", "Degraded", "ExamPassed"):
        assert f'{PROMOTE}="0123456789abcdef WHO: WHY"' in conditions[kind].message
    approved = advance(
        gated({PROMOTE: f"{held.change} alice: by hand"}, status={"promoted": "old"}),
        held,
        gate_objects(),
        now=NOON,
    )
    assert not holds(approved)
