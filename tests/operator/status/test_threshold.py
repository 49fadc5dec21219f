"""The minimum confidence for a target accuracy comes from the last proven exam of the current replicas."""

from typing import Any

import pytest
from tests.operator.support import IMAGES, NOON, deployment, exam, solver

from mcq_operator import desired, status
from mcq_operator.api import Condition, MCQExam, MCQSolver
from mcq_operator.api.exam_status import CoveragePoint, Interval
from mcq_operator.api.observed import CanaryVerdict, ObservedSolver
from mcq_operator.api.solver_status import Threshold

CURRENT = "current"


def point(least: float, coverage: float, low: float) -> CoveragePoint:
    """Return a point of a curve with an interval that begins at `low`."""
    return CoveragePoint(
        min_confidence=least, coverage=coverage, accuracy=low + 0.05, interval=Interval(low=low, high=1)
    )


CURVE = [point(0, 1, 0.6), point(0.5, 0.7, 0.81), point(0.6, 0.5, 0.79), point(0.9, 0.1, 0.92)]


def taken(curve: list[CoveragePoint] | None = None, *, name: str = "aqua", **changes: Any) -> MCQExam:
    """Return an exam with a proven result of the current replicas, and with these changes of its status."""
    result: dict[str, Any] = {
        "conditions": [{"type": "Complete", "status": "True", "reason": "Sat", "message": "It is complete."}],
        "count": 400,
        "unanswered": 0,
        "sat": "2026-01-01T11:00:00Z",
        "templateDigest": CURRENT,
        "riskCoverage": [each.model_dump() for each in (CURVE if curve is None else curve)],
        "report": {"configMap": "aqua-results", "name": "aqua-1", "digest": "sha256:r"},
    }
    return exam(status={**result, **changes}, name=name)


def wishing(target: float | None = 0.8, recorded: Threshold | None = None, **answering: Any) -> MCQSolver:
    """Return a solver that wishes an accuracy."""
    reported = {"templateDigest": CURRENT, **({"threshold": recorded.model_dump()} if recorded else {})}
    return solver({"answering": {"targetAccuracy": target, **answering}}, status=reported)


def decide(wish: MCQSolver, *exams: MCQExam) -> Threshold:
    threshold = status.threshold.decide(wish, exams)
    assert threshold is not None
    return threshold


def min_confidence(wish: MCQSolver) -> str:
    """Return the setting of the replicas."""
    [container] = desired.template(wish, images=IMAGES)["spec"]["containers"]
    return next(str(each["value"]) for each in container["env"] if each["name"] == "MCQ_MIN_CONFIDENCE")


def reported(wish: MCQSolver, *exams: MCQExam, held: bool = False) -> Condition | None:
    """Return the condition in a new status of the solver."""
    new_status = status.of(
        wish,
        observed=ObservedSolver(deployment=deployment()),
        verdict=CanaryVerdict(outcome="answered"),
        inventory=(),
        replicas_digest=CURRENT,
        template_digest=CURRENT,
        exams=exams,
        held=held,
        now=NOON,
    )
    return next((each for each in new_status.conditions if each.type == "ThresholdReady"), None)


@pytest.mark.parametrize(("target", "least"), [(0.5, 0), (0.8, 0.5), (0.81, 0.5), (0.82, 0.9)])
def test_the_threshold_has_the_greatest_coverage_with_an_interval_above_the_wish(
    target: float, least: float
) -> None:
    threshold = decide(wishing(target), taken())
    assert (threshold.min_confidence, threshold.target_accuracy) == (least, target)
    assert (threshold.exam, threshold.count, threshold.report_digest) == ("aqua", 400, "sha256:r")
    actual = wishing(target, threshold)
    assert min_confidence(actual) == str(least) or min_confidence(actual) == f"{least:.1f}"
    condition = reported(actual, taken())
    assert condition is not None
    assert (condition.status, condition.reason) == ("True", "AccuracyReached")
    assert f"below a confidence of {least:g}" in condition.message


def test_without_a_wish_the_spec_sets_the_minimum_confidence() -> None:
    plain = wishing(None, decide(wishing(), taken()), minConfidence=0.3)
    assert status.threshold.decide(plain, [taken()]) is None
    assert min_confidence(plain) == "0.3"
    assert reported(plain, taken()) is None


UNUSABLE = {
    "no exam": ((), "False", "NoExam"),
    "no result": ([taken(conditions=[])], "Unknown", "ExamPending"),
    "another template": ([taken(templateDigest="old")], "Unknown", "ExamPending"),
    "from a backup": ([taken(report={"configMap": "r", "name": "n"})], "Unknown", "ExamPending"),
    "no curve": ([taken(riskCoverage=None)], "False", "ExamUnusable"),
    "no answers": ([taken(unanswered=22)], "False", "ExamUnusable"),
    "too hard": ([taken([point(0, 1, 0.79)])], "False", "AccuracyNotReached"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_without_a_usable_exam_replicas_abstain_or_keep_the_last_threshold(name: str) -> None:
    exams, state, reason = UNUSABLE[name]
    assert status.threshold.decide(wishing(), exams) is None
    assert min_confidence(wishing()) == "1"
    last = decide(wishing(), taken())
    assert status.threshold.decide(wishing(recorded=last), exams) == last
    for wish, meanwhile in ((wishing(), "abstain from every question"), (wishing(recorded=last), "keep the")):
        condition = reported(wish, *exams)
        assert condition is not None
        assert (condition.status, condition.reason) == (state, reason)
        assert meanwhile in condition.message


def test_an_exam_that_asks_in_another_way_gives_no_threshold() -> None:
    other = exam({"debias": "none"}, status=taken().status.model_dump(by_alias=True))
    assert status.threshold.decide(wishing(), [other]) is None
    assert decide(wishing(debias="none"), other).min_confidence == 0.5
    condition = reported(wishing(), other)
    assert condition is not None
    assert condition.reason == "ExamUnusable"


def test_a_few_unanswered_questions_do_not_matter() -> None:
    assert decide(wishing(), taken(unanswered=21)).min_confidence == 0.5


@pytest.mark.parametrize(
    ("least", "changes", "result"),
    [
        (0.49, {}, 0.5),
        (0.48, {}, 0.5),
        (0.47, {}, 0.47),
        (0.51, {}, 0.51),
        (0.49, {"templateDigest": "new"}, 0.49),
    ],
)
def test_a_newer_exam_of_the_same_replicas_changes_only_a_threshold_that_is_too_low_or_far_too_high(
    least: float, changes: dict[str, Any], result: float
) -> None:
    recorded = decide(wishing(), taken())
    wish = wishing(recorded=recorded)
    newer = taken([point(least, 0.7, 0.8)], sat="2026-01-02T11:00:00Z", **changes)
    if changes:
        updated = wish.status.model_copy(update={"template_digest": "new"})
        wish = wish.model_copy(update={"status": updated})
    assert decide(wish, newer).min_confidence == result


def test_another_wish_takes_effect_at_once() -> None:
    recorded = decide(wishing(0.8), taken())
    assert decide(wishing(0.82, recorded), taken()).min_confidence == 0.9
    assert decide(wishing(0.79, decide(wishing(0.81), taken())), taken()).target_accuracy == 0.79


def test_two_exams_do_not_take_turns() -> None:
    hard = taken([point(0.7, 0.3, 0.8)], name="hard", sat="2026-01-02T11:00:00Z")
    first = decide(wishing(), taken())
    assert decide(wishing(), taken(), hard).exam == "hard", "the newest, if no other was taken before"
    assert decide(wishing(recorded=first), taken(), hard).exam == "aqua"
    gated = solver(
        {"answering": {"targetAccuracy": 0.8}, "rollout": {"gate": {"examRef": {"name": "hard"}}}},
        status={"templateDigest": CURRENT, "threshold": first.model_dump()},
    )
    assert decide(gated, taken(), hard).exam == "hard"


def test_a_threshold_does_not_make_the_exam_run_again() -> None:
    plain, other = wishing(), wishing(recorded=decide(wishing(), taken()))
    digests = {desired.digest(desired.plain_template(each, images=IMAGES)) for each in (plain, other)}
    assert len(digests) == 1
    assert min_confidence(plain) != min_confidence(other)
    assert (
        desired.digest(desired.plain_template(wishing(None, minConfidence=0.2), images=IMAGES)) not in digests
    )


def test_replicas_of_an_earlier_spec_have_their_own_threshold() -> None:
    condition = reported(wishing(recorded=decide(wishing(), taken())), taken(), held=True)
    assert condition is not None
    assert (condition.status, condition.reason) == ("Unknown", "NotRolledOut")


def test_a_gates_candidate_wishes_no_accuracy() -> None:
    candidate = desired.gate.candidate(wishing())
    assert "targetAccuracy" not in candidate["spec"]["answering"]
