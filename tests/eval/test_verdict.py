"""A limit is met, missed or undecided; an undecided verdict says how many more questions would decide it."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcq_eval.metrics import paired
from mcq_eval.metrics.outcomes import Outcome
from mcq_eval.metrics.paired import Z95_ONE_SIDED
from mcq_eval.report.comparison import Comparison
from mcq_eval.report.exam_report import Figures, Latency, LimitVerdict
from mcq_eval.verdict import Limits, judge

LATENCY = Latency(p50_ms=100, p95_ms=1500, at_once=32)


def figures(right: int, total: int, confidence: float = 0.75) -> Figures:
    """Return the figures of questions with two choices, all with the same confidence."""
    return Figures.of(
        [
            Outcome(["A", "B"], [confidence, 1 - confidence], 0 if number < right else 1)
            for number in range(total)
        ]
    )


def comparison(only_before: int, only_now: int, questions: int) -> Comparison:
    both = questions - only_before - only_now
    return Comparison(
        questions=questions,
        unanswered=0,
        both_right=both,
        only_before=only_before,
        only_now=only_now,
        both_wrong=0,
        p_value=paired.mcnemar(only_before, only_now),
        discordant=[],
    )


def limit_verdict(
    limits: Limits, *, measured: Figures | None = None, pairs: Comparison | None = None
) -> LimitVerdict:
    verdict = judge(measured or figures(50, 100), pairs, LATENCY, limits)
    assert verdict is not None
    (limit,) = verdict.limits
    assert limit.outcome == verdict.outcome
    return limit


def test_without_limits_there_is_no_verdict() -> None:
    assert judge(figures(1, 2), None, LATENCY, Limits()) is None


def test_a_regression_needs_an_earlier_result() -> None:
    with pytest.raises(ValueError, match="needs an earlier result"):
        judge(figures(1, 2), None, LATENCY, Limits(max_regression=0.1))


@pytest.mark.parametrize(
    ("least", "outcome"), [(0.41, "Passed"), (0.5, "Inconclusive"), (0.45, "Inconclusive"), (0.6, "Failed")]
)
def test_accuracy_is_judged_by_its_interval(least: float, outcome: str) -> None:
    assert limit_verdict(Limits(min_accuracy=least)).outcome == outcome  # 50 of 100: 0.419 to 0.581


def test_the_stated_number_of_questions_decides_an_accuracy() -> None:
    more = limit_verdict(Limits(min_accuracy=0.45)).more_questions
    assert more is not None
    assert 100 < more < 400
    grown = figures((100 + more) // 2, 100 + more)
    assert limit_verdict(Limits(min_accuracy=0.45), measured=grown).outcome == "Passed"
    fewer = figures(int(0.45 * (100 + more)), int(0.9 * (100 + more)))
    assert limit_verdict(Limits(min_accuracy=0.45), measured=fewer).outcome == "Inconclusive"


def test_no_number_of_questions_decides_an_accuracy_at_the_limit() -> None:
    limit = limit_verdict(Limits(min_accuracy=0.5))
    assert (limit.outcome, limit.more_questions) == ("Inconclusive", None)
    assert "more questions are not likely to decide it" in limit.detail


@pytest.mark.parametrize(
    ("before", "now", "questions", "most", "outcome"),
    [
        (0, 0, 200, 0.02, "Passed"),  # the same answers: at worst 1.3 % worse
        (0, 0, 100, 0.02, "Inconclusive"),  # at worst 2.6 %
        (5, 30, 200, 0.0, "Passed"),  # certainly better
        (10, 10, 200, 0.02, "Inconclusive"),
        (30, 5, 200, 0.02, "Failed"),
        (30, 5, 200, 0.07, "Failed"),  # 7.8 % worse at least
        (
            30,
            5,
            200,
            0.10,
            "Inconclusive",
        ),  # 12.5 % worse, significant by McNemar; 10 % may be the truth
        (30, 5, 200, 0.15, "Inconclusive"),  # certainly worse, but perhaps no more than allowed
        (9, 3, 200, 0.02, "Inconclusive"),  # 3 % worse, but p = 0.15
    ],
)
def test_a_regression_is_judged_by_both_ends_of_its_interval(
    before: int, now: int, questions: int, most: float, outcome: str
) -> None:
    assert (
        limit_verdict(Limits(max_regression=most), pairs=comparison(before, now, questions)).outcome
        == outcome
    )


@pytest.mark.parametrize(("before", "now", "outcome"), [(0, 0, "Passed"), (6, 6, "Passed"), (9, 3, "Failed")])
def test_the_stated_number_of_questions_decides_a_regression(before: int, now: int, outcome: str) -> None:
    limits = Limits(max_regression=0.02)
    more = limit_verdict(limits, pairs=comparison(before, now, 100)).more_questions
    assert more is not None
    scale = (100 + more) / 100
    grown = comparison(math.ceil(before * scale), round(now * scale), 100 + more)
    assert limit_verdict(limits, pairs=grown).outcome in {
        outcome,
        "Inconclusive" if outcome == "Failed" else outcome,
    }
    twice = comparison(2 * math.ceil(before * scale), 2 * round(now * scale), 2 * (100 + more))
    assert limit_verdict(limits, pairs=twice).outcome == outcome


@pytest.mark.parametrize(("unanswered", "outcome"), [(0, "Passed"), (5, "Passed"), (6, "Failed")])
def test_a_few_unanswered_questions_count_as_wrong_and_more_of_them_fail_the_exam(
    unanswered: int, outcome: str
) -> None:
    answered = 100 - unanswered
    verdict = judge(
        figures(answered, answered), None, LATENCY, Limits(min_accuracy=0.8), unanswered=unanswered
    )
    assert verdict is not None
    assert verdict.outcome == outcome
    assert f"({answered} of 100" in verdict.limits[0].detail
    assert len(verdict.limits) == (2 if unanswered else 1)


def test_unanswered_questions_count_as_wrong() -> None:
    verdict = judge(figures(90, 97), None, LATENCY, Limits(min_accuracy=0.87), unanswered=3)
    assert limit_verdict(Limits(min_accuracy=0.87), measured=figures(90, 97)).outcome == "Passed"
    assert verdict is not None
    assert verdict.outcome == "Inconclusive"


def test_a_calibration_error_is_compared_without_an_interval() -> None:
    assert (
        limit_verdict(Limits(max_calibration_error=0.25)).outcome == "Passed"
    )  # confidence 0.75, accuracy 0.5
    missed = limit_verdict(Limits(max_calibration_error=0.2))
    assert missed.outcome == "Failed"
    assert "calibration error 0.250" in missed.detail
    assert "is more than 0.2" in missed.detail


def test_a_missed_limit_fails_the_exam_and_an_undecided_one_is_inconclusive() -> None:
    measured, pairs = figures(50, 100), comparison(0, 0, 200)
    for accuracy, error in product((0.3, 0.45), (0.2, 0.3)):
        verdict = judge(measured, pairs, LATENCY, Limits(accuracy, 0.02, error))
        assert verdict is not None
        expected = "Failed" if error == 0.2 else "Inconclusive" if accuracy == 0.45 else "Passed"
        assert verdict.outcome == expected
        assert len(verdict.limits) == 3


def score_statistic(only_first: int, only_second: int, total: int, difference: float) -> float:
    """Return the score statistic; a search finds its nuisance parameter, the share right only in the first."""

    def likelihood(first: float) -> float:
        second, rest = first + difference, 1 - 2 * first - difference
        pairs = ((only_first, first), (only_second, second), (total - only_first - only_second, rest))
        return sum(count * math.log(max(share, 1e-300)) for count, share in pairs if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    for _ in range(200):
        third = (high - low) / 3
        if likelihood(low + third) < likelihood(high - third):
            low += third
        else:
            high -= third
    first = (low + high) / 2
    variance = (2 * first + difference - difference**2) / total
    return ((only_second - only_first) / total - difference) / math.sqrt(variance)


@given(counts=st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 300)))
def test_the_minimal_difference_is_where_the_score_test_changes_sign(counts: tuple[int, int, int]) -> None:
    first, second, agreeing = counts
    total = first + second + agreeing
    least = paired.min_difference(first, second, total)
    assert least < (second - first) / total
    assert score_statistic(first, second, total, least) == pytest.approx(Z95_ONE_SIDED, abs=1e-3)


def test_the_minimal_difference_of_equal_answers_has_a_closed_form() -> None:
    z2 = Z95_ONE_SIDED**2
    assert paired.min_difference(0, 0, 200) == pytest.approx(-z2 / (200 + z2))


@pytest.mark.parametrize(("most", "outcome"), [(1.5, "Passed"), (1.4, "Failed")])
def test_a_latency_is_compared_without_an_interval(most: float, outcome: str) -> None:
    assert limit_verdict(Limits(max_p95_seconds=most)).outcome == outcome
