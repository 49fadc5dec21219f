"""What becomes of a gated change, by what is seen of its exam and of its candidate."""

from datetime import timedelta
from typing import Any

import pytest
from tests.operator.support import IMAGE, NOON, deployment, pod, solver

from mcq_operator import desired, status
from mcq_operator.models import GateStatus, Manifest, MCQExam, MCQSolver, SolverStatus
from mcq_operator.models.observed import Observed, Verdict
from mcq_operator.status.dating import stamp
from mcq_operator.status.gate import Seen, advanced, finding, holds, retry_in
from mcq_operator.status.waiver import override, ungated

PATIENCE_SECONDS = 120
"""How long docs/exams.md says a candidate may be degraded."""
PROMOTE = "mcq-operator.dev/promote"
EMPTY = Observed()
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
    """A condition that has been so for `age` seconds."""
    since = stamp(NOON - timedelta(seconds=age))
    message = message or f"{reason}."
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}


def exam(
    *conditions: dict[str, Any],
    name: str = "aqua",
    of: str = "demo",
    digest: str = "before",
    proof: str | None = "sha256:r",
) -> MCQExam:
    """An exam with these conditions, about replicas that have this digest, whose result has this proof."""
    return MCQExam.model_validate(
        {
            "metadata": {"name": name, "namespace": "team", "uid": "e", "generation": 1},
            "spec": {"solverRef": {"name": of}, "questions": {"configMapRef": {"name": "questions"}}},
            "status": {
                "observedGeneration": 1,
                "templateDigest": digest,
                "conditions": [*conditions],
                "report": {"configMap": "aqua-results", "name": "sat", "digest": proof},
            },
        }
    )


def gated(
    annotations: dict[str, str] | None = None, *, status: dict[str, Any] | None = None, **gate: Any
) -> MCQSolver:
    """A solver whose changes have to pass an exam."""
    asked = {"examRef": {"name": "aqua"}, "maxRegression": 0.1, **gate}
    return solver({"rollout": {"gate": asked}}, status=status, annotations=annotations or {})


def candidate(*conditions: dict[str, Any], observed: int = 2) -> MCQSolver:
    """The solver that sits the exam for the change."""
    told = {"observedGeneration": observed, "templateDigest": "after", "conditions": [*conditions]}
    return solver(status=told)


def seen(**changes: Any) -> Seen:
    """A candidate that is ready and sits the exam, but for the changes."""
    found: dict[str, Any] = {
        "exam": exam(condition("Complete", "True")),
        "candidate": candidate(condition("Ready", "True")),
        "sitting": exam(condition("Complete", "False", "Sitting"), of="demo-candidate", digest="after"),
    }
    return Seen(**{**found, **changes})


def sat(reason: str, *, digest: str = "after") -> MCQExam:
    """The candidate's exam, with this verdict about replicas that have this digest."""
    status = {"Passed": "True", "NotPassed": "False"}.get(reason, "Unknown")
    return exam(
        condition("Complete", "True", message="0.9 of 100"),
        condition("Passed", status, reason, message="The verdict."),
        of="demo-candidate",
        digest=digest,
    )


def failed(reason: str, *, age: float = 0) -> MCQExam:
    """The candidate's exam, which can't be sat."""
    trouble = condition("Degraded", "True", reason, age=age)
    return exam(condition("Complete", "False"), trouble, of="demo-candidate", digest="after")


def degraded(age: float, reason: str = "ImagePullBackOff") -> MCQSolver:
    """A candidate that has had no image, or another trouble, for so long."""
    trouble = condition("Degraded", "True", reason, age=age, message="no such image")
    return candidate(condition("Ready", "False", reason, message="no such image"), trouble)


def overdue() -> MCQSolver:
    """A candidate whose Deployment has given up."""
    return candidate(condition("Progressing", "False", "ProgressDeadlineExceeded"))


@pytest.mark.parametrize(
    ("looked", "phase", "reason"),
    [
        (seen(exam=None), "Waiting", "ExamNotFound"),
        (seen(exam=exam(condition("Complete", "True"), of="other")), "Waiting", "ExamOfAnother"),
        (seen(exam=exam(condition("Complete", "False"))), "Waiting", "NoBaseline"),
        (seen(exam=exam(condition("Complete", "True"), digest="earlier")), "Waiting", "NoBaseline"),
        (seen(exam=exam(condition("Complete", "True", "Restored"), proof=None)), "Waiting", "NoBaseline"),
        (seen(candidate=None), "Sitting", "CandidateStarting"),
        (seen(sitting=None), "Sitting", "CandidateStarting"),
        (seen(candidate=candidate(condition("Ready", "True"), observed=1)), "Sitting", "CandidateStarting"),
        (seen(candidate=candidate(condition("Ready", "False"))), "Sitting", "CandidateStarting"),
        (seen(), "Sitting", "CandidateSitting"),
        (seen(sitting=sat("Passed")), "Passed", "Passed"),
        (seen(sitting=sat("NotPassed")), "Refused", "ExamNotPassed"),
        (seen(sitting=sat("Inconclusive")), "Inconclusive", "Inconclusive"),
        (seen(sitting=sat("Passed", digest="earlier")), "Sitting", "CandidateSitting"),
        (seen(sitting=failed("SittingFailed")), "Refused", "ExamFailed"),
        (seen(sitting=failed("ExamUnreadable")), "Refused", "ExamFailed"),
        (seen(sitting=failed("ResultAltered", age=PATIENCE_SECONDS)), "Refused", "ExamFailed"),
        (seen(sitting=sat("Restored")), "Refused", "ExamNotPassed"),
        (seen(sitting=failed("ImagePullBackOff", age=PATIENCE_SECONDS - 1)), "Sitting", "CandidateSitting"),
        (seen(sitting=failed("ImagePullBackOff", age=PATIENCE_SECONDS)), "Refused", "ExamFailed"),
        (seen(candidate=degraded(PATIENCE_SECONDS - 1)), "Sitting", "CandidateStarting"),
        (seen(candidate=degraded(PATIENCE_SECONDS)), "Refused", "CandidateNotReady"),
        (seen(candidate=overdue()), "Refused", "CandidateNotReady"),
        *(
            (seen(candidate=degraded(20 * PATIENCE_SECONDS, reason)), "Sitting", "CandidateStarting")
            for reason in ("Unschedulable", "FailedMount", "ModelUnreachable")
        ),
        (seen(sitting=failed("Unschedulable", age=20 * PATIENCE_SECONDS)), "Sitting", "CandidateSitting"),
    ],
)
def test_a_change_is_let_through_only_by_its_own_passed_exam(looked: Seen, phase: str, reason: str) -> None:
    gate = advanced(gated(), SITTING, looked, now=NOON)
    assert (gate.phase, gate.reason) == (phase, reason)
    assert holds(gate) == (phase != "Passed")


@pytest.mark.parametrize(
    ("looked", "words"),
    [
        (seen(candidate=degraded(1)), "no such image"),
        (seen(candidate=degraded(PATIENCE_SECONDS)), "no such image"),
        (seen(sitting=failed("ExamUnreadable")), "ExamUnreadable."),
        (seen(sitting=sat("NotPassed")), "The verdict. 0.9 of 100."),
        (
            seen(sitting=sat("NotPassed")),
            f'kubectl annotate --overwrite mcq -n team demo {PROMOTE}="0123456789abcdef WHO: WHY"',
        ),
        (seen(sitting=sat("Inconclusive")), "Too few questions to tell, which is no pass."),
        (seen(exam=None), "There is no MCQExam aqua in this namespace"),
    ],
)
def test_the_message_has_the_cause_and_what_to_do(looked: Seen, words: str) -> None:
    assert words in advanced(gated(), SITTING, looked, now=NOON).message


@pytest.mark.parametrize("phase", ["Passed", "Refused", "Inconclusive", "Overridden"])
def test_a_decision_stands_whatever_is_seen_later(phase: Any) -> None:
    decided = SITTING.model_copy(update={"phase": phase})
    assert advanced(gated(), decided, seen(sitting=sat("Passed")), now=NOON) == decided


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
    told = finding(gated(), gate, EMPTY)
    assert told is not None
    assert told.status == status


def test_without_a_gate_there_is_no_condition() -> None:
    assert finding(solver(), None, EMPTY) is None


def test_an_annotation_lets_a_change_through_and_is_recorded_and_lets_no_other_through() -> None:
    annotations = {PROMOTE: f"{SITTING.change} alice: by hand"}
    through = advanced(gated(annotations), SITTING, seen(), now=NOON)
    assert (through.phase, holds(through)) == ("Overridden", False)
    assert "alice: by hand" in through.message
    recorded = override(gated(annotations), through, now=NOON)
    assert recorded is not None
    assert (recorded.annotation, recorded.change) == (annotations[PROMOTE], SITTING.change)
    assert (recorded.reason, recorded.time) == ("Overridden", stamp(NOON))
    used = {"override": recorded.model_dump(by_alias=True)}
    again = advanced(gated(annotations, status=used), SITTING, seen(), now=NOON)
    assert again.phase == "Sitting"


def test_an_annotation_of_what_has_passed_already_changes_nothing() -> None:
    passed = SITTING.model_copy(update={"phase": "Passed"})
    late = {PROMOTE: f"{SITTING.change} alice: late"}
    assert advanced(gated(late), passed, seen(), now=NOON) == passed


@pytest.mark.parametrize("words", ["alice: by hand", "fedcba9876543210 alice: by hand", SITTING.change])
def test_an_approval_that_does_not_name_the_change_does_nothing_and_is_told_of(words: str) -> None:
    asked = gated({PROMOTE: words})
    gate = advanced(asked, SITTING, seen(), now=NOON)
    assert gate.phase == "Sitting"
    told = finding(asked, gate, EMPTY)
    assert told is not None
    assert f"does nothing: it does not name this change, {SITTING.change}," in told.message
    assert words in told.message


TERMS = {"exam": "aqua", "minAccuracy": 0.4, "maxRegression": 0.05}


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ({"minAccuracy": 0.4, "maxRegression": 0.05}, ""),
        ({"minAccuracy": 0.5, "maxRegression": 0.01, "maxCalibrationError": 0.1}, ""),
        ({"minAccuracy": 0.4, "maxRegression": 0.5}, "maxRegression 0.05, now 0.5."),
        ({"minAccuracy": 0.3, "maxRegression": 0.05}, "minAccuracy 0.4, now 0.3."),
        ({"maxRegression": 0.05}, "minAccuracy 0.4, now none."),
        (
            {"minAccuracy": 0.4, "maxRegression": 0.05, "examRef": {"name": "other"}},
            "examRef aqua, now other.",
        ),
    ],
)
def test_a_gate_that_is_loosened_with_the_change_leaves_a_record(gate: dict[str, Any], words: str) -> None:
    loosened = gated(status={"lastGate": TERMS}, **gate)
    told = advanced(loosened, SITTING, seen(sitting=sat("Passed")), now=NOON)
    recorded = override(loosened, told, now=NOON)
    assert not holds(told)
    assert words in told.message
    if words:
        assert told.reason == "GateLoosened"
        assert recorded is not None
        assert (recorded.reason, recorded.change) == ("GateLoosened", SITTING.change)
        assert recorded.gate == loosened.status.last_gate
    else:
        assert (told.phase, recorded) == ("Passed", None)


def looked(known: MCQSolver, held: GateStatus | None, meant: str, **observed: Any) -> SolverStatus:
    """The status after one look at a solver whose replicas answer."""
    return status.of(
        known,
        observed=Observed(**{"deployment": deployment(), **observed}),
        verdict=Verdict(outcome="answered"),
        inventory=[],
        replicas_digest="d",
        template_digest="d",
        held=held,
        meant=meant,
        now=NOON,
    )


def stored(told: SolverStatus) -> dict[str, Any]:
    return told.model_dump(by_alias=True, exclude_none=True)


def examined(told: SolverStatus) -> tuple[str, str] | None:
    return next(((each.status, each.reason) for each in told.conditions if each.type == "ExamPassed"), None)


@pytest.mark.parametrize("held", [None, SITTING, SITTING.model_copy(update={"phase": "Refused"})])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_gate_that_is_removed_with_the_change_or_before_it_leaves_a_record(
    held: GateStatus | None, steps: int
) -> None:
    """The change goes through, with a Warning, and stays told of until the next one."""
    before = looked(gated(status={"promoted": "old"}), held, "old")
    assert before.last_gate is not None
    if steps == 2:
        alone = solver(status=stored(before))
        before = looked(alone, ungated(alone, "old", unchanged=True), "old")
        assert examined(before) is None
    changed = solver(status=stored(before))
    after = looked(changed, ungated(changed, "new", unchanged=False), "new")
    assert (after.promoted, after.last_gate) == ("new", None)
    assert examined(after) == ("Unknown", "GateRemoved")
    assert after.override is not None
    assert (after.override.reason, after.override.change) == ("GateRemoved", "new")
    assert after.override.gate == before.last_gate
    events = [each for each in status.events(changed, after, now=NOON) if each["reason"] == "GateRemoved"]
    assert [each["type"] for each in events] == ["Warning"]
    same = solver(status=stored(after))
    assert looked(same, ungated(same, "new", unchanged=True), "new") == after
    another = ungated(same, "newer", unchanged=False)
    assert another is None
    assert examined(looked(same, another, "newer")) is None


def test_a_gate_that_is_loosened_before_the_change_is_compared_with_the_one_of_before() -> None:
    before = looked(gated(status={"promoted": "old"}), None, "old")
    alone = looked(gated(status=stored(before), maxRegression=1), None, "old")
    assert alone.last_gate == before.last_gate
    through = SITTING.model_copy(update={"phase": "Overridden", "reason": "GateLoosened"})
    after = looked(gated(status=stored(alone), maxRegression=1), through, "new")
    assert after.last_gate is not None
    assert after.last_gate.max_regression == 1
    tighter = looked(gated(status=stored(after), maxRegression=0.01), through, "new")
    assert tighter.last_gate is not None
    assert tighter.last_gate.max_regression == 0.01


def test_a_gate_that_is_removed_for_good_holds_up_nothing_and_is_no_news() -> None:
    assert ungated(solver(status={"promoted": "old"}), "new", unchanged=False) is None


def replica(image: str, name: str = "demo-1") -> Manifest:
    ran = {"name": "service", "imageID": image, "state": {}}
    return pod(name, ready=True, containerStatuses=[ran])


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["reg/x@sha256:a"], ("True", "Passed")),
        (["sha256:a"], ("True", "Passed")),
        ([""], ("True", "Passed")),
        (["reg/x@sha256:b"], ("Unknown", "ImageNotExamined")),
        (["reg/x@sha256:a", "reg/x@sha256:b"], ("Unknown", "ImageNotExamined")),
    ],
)
def test_replicas_of_another_image_than_the_one_that_passed_are_told_of(
    images: list[str], expected: tuple[str, str]
) -> None:
    """A tag may be moved between the exam and the roll-out, or later."""
    asker = candidate(condition("Ready", "True"))
    asker = asker.model_copy(update={"status": asker.status.model_copy(update={"image": "sha256:a"})})
    passed = advanced(gated(), SITTING, seen(candidate=asker, sitting=sat("Passed")), now=NOON)
    pods = [replica(image, f"demo-{number}") for number, image in enumerate(images)]
    # At the moment of the pass, these are the replicas of before.
    assert examined(looked(gated(), passed, "new", pods=pods)) == ("True", "Passed")
    known = gated(status={"gate": passed.model_dump(by_alias=True)})
    told = looked(known, passed, "new", pods=pods)
    assert examined(told) == expected
    scaling = looked(gated(status=stored(told)), passed, "new", pods=pods, deployment=deployment(available=2))
    assert examined(scaling) == expected


def test_the_status_has_the_image_that_all_ready_replicas_run() -> None:
    one, other = replica("reg/x@sha256:a"), replica("reg/x@sha256:b", "demo-2")
    assert looked(solver(), None, "", pods=[one]).image == "sha256:a"
    assert looked(solver(), None, "", pods=[one, other]).image == ""


S3 = {"uri": "s3://models/qwen"}
PVC = {"uri": "pvc://weights/qwen"}
OPENAI: dict[str, Any] = {"type": "OpenAI", "openai": {"endpoint": "http://vllm:8000"}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"model": PVC}, {"model": {"uri": "pvc://other/qwen"}}),
        ({"model": S3}, {"model": {**S3, "credentialsSecretRef": {"name": "mcq-elsewhere"}}}),
        ({"model": S3}, {"model": S3, "podTemplate": {"env": [{"name": "AWS_ENDPOINT_URL", "value": "x"}]}}),
        ({}, {"podTemplate": {"initContainers": [{"name": "a", "image": "x"}]}}),
        ({}, {"storage": {"cache": {"type": "PVC", "claimName": "filled"}}}),
        ({}, {"image": "x@sha256:a"}),
        ({"engine": OPENAI}, {"engine": {"type": "OpenAI", "openai": {"endpoint": "http://other:8000"}}}),
        (
            {"engine": OPENAI},
            {
                "engine": {
                    "type": "OpenAI",
                    "openai": {**OPENAI["openai"], "apiKeySecretRef": {"name": "mcq-b", "key": "k"}},
                }
            },
        ),
        ({}, {"answering": {"debias": "none"}}),
    ],
)
def test_whatever_may_change_answers_is_another_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    one, other = (desired.gate.identity(solver(each), service_image=IMAGE) for each in (before, after))
    assert one != other


@pytest.mark.parametrize(
    "spec",
    [
        {"replicas": 7},
        {"podTemplate": {"metadata": {"labels": {"team": "blue"}}}},
        {"storage": {"cache": {"size": "9Gi"}}},
        {"rollout": {"gate": {"examRef": {"name": "aqua"}}}},
    ],
)
def test_what_can_not_change_answers_is_no_other_change(spec: dict[str, Any]) -> None:
    one, other = (desired.gate.identity(solver(each), service_image=IMAGE) for each in ({}, spec))
    assert one == other


def test_a_candidate_is_looked_at_again_before_patience_ends_though_no_event_comes() -> None:
    assert 0 < (retry_in(SITTING) or 0) < PATIENCE_SECONDS
    assert retry_in(SITTING.model_copy(update={"phase": "Refused"})) is None
    assert retry_in(None) is None
