"""Metrics equal hand-computed and published values, and stay within their bounds for any input."""

import math
import random
import tracemalloc
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from mcq_eval.metrics import calibration_error, letter_bias, paired, risk_coverage
from mcq_eval.metrics.outcomes import (
    ONE_SIDED,
    Outcome,
    accuracy,
    accuracy_by_subject,
    brier,
    negative_log_likelihood,
    wilson_interval,
)


def outcome(confidence: float, right: bool, **fields: object) -> Outcome:
    """Return an outcome with two choices; the model chose the first one."""
    return Outcome(["A", "B"], [confidence, 1 - confidence], 0 if right else 1, **fields)  # type: ignore[arg-type]


# Newcombe 1998 (Statistics in Medicine 17:857-872), table I, method 3 (Wilson score, no continuity correction).
@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_equals_the_published_one(right: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)


@given(total=st.integers(1, 5000), data=st.data())
def test_an_interval_contains_its_share_and_is_symmetric(total: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, total))
    low, high = wilson_interval(right, total)
    assert 0 <= low <= right / total <= high <= 1
    assert low == pytest.approx(1 - wilson_interval(total - right, total)[1], abs=1e-12)


def test_no_questions_give_the_widest_interval() -> None:
    nothing = accuracy([])
    assert (nothing.value, nothing.ci95) == (None, (0, 1))


def test_the_calibration_error_equals_one_computed_by_hand() -> None:
    # Bin (9/15, 10/15]: 0.62 right, 0.66 wrong: |0.5 - 0.64| = 0.14. Bin (13/15, 14/15]: 0.9 right: 0.1.
    outcomes = [outcome(0.62, True), outcome(0.66, False), outcome(0.9, True)]
    assert calibration_error.ece(outcomes) == pytest.approx((2 * 0.14 + 1 * 0.1) / 3)


def test_a_confidence_on_the_edge_belongs_to_the_bin_below() -> None:
    # 0.6 = 9/15 belongs to bin 9 and 0.61 to bin 10; in separate bins their errors do not cancel.
    assert calibration_error.ece([outcome(0.6, True), outcome(0.61, False)]) == pytest.approx(
        (0.4 + 0.61) / 2
    )


def test_bins_of_equal_mass_hold_the_same_number_of_questions() -> None:
    outcomes = [outcome(0.5 + 0.01 * index, index % 2 == 0) for index in range(4)]
    # Two bins: (0.50 right, 0.51 wrong), (0.52 right, 0.53 wrong).
    expected = (abs(1 - 1.01) + abs(1 - 1.05)) / 4
    assert calibration_error.ece(outcomes, binning="equal-mass", bins=2) == pytest.approx(expected)


def test_the_error_by_chance_is_near_the_error_of_a_calibrated_model() -> None:
    generator = random.Random(5)
    drawn = []
    for _ in range(200):
        confidence = generator.uniform(0.5, 1)
        drawn.append(outcome(confidence, generator.random() < confidence))
    by_chance = calibration_error.chance_ece(drawn)
    assert by_chance == calibration_error.chance_ece(drawn), "the result is deterministic"
    assert 0.02 < by_chance < 0.10
    assert calibration_error.ece(drawn) == pytest.approx(by_chance, abs=0.04)
    many = drawn * 25
    assert calibration_error.chance_ece(many) < by_chance / 3


def test_the_error_by_chance_of_many_questions_takes_little_memory() -> None:
    confidences = np.random.default_rng(0).random(100_000)
    outcomes = [outcome(confidence, True) for confidence in confidences.tolist()]
    tracemalloc.start()
    assert calibration_error.chance_ece(outcomes) < 0.01
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 2**20


@pytest.mark.parametrize(
    ("least", "most", "over", "count"),
    [
        (0.5, 1, 0.0, 500),
        (0.5, 1, 0.04, 500),
        (0.5, 1, 0.1, 500),
        (0.95, 1, 0.05, 100),
        (0.97, 0.97, 0.07, 100),
        (0.999, 0.999, 0.019, 100),
    ],
)
def test_a_calibration_error_is_above_its_bound_in_one_exam_of_twenty(
    least: float, most: float, over: float, count: int
) -> None:
    """A confident model's answers fall into one bin, and may all be right."""
    generator = np.random.default_rng(9)
    above = 0
    for _ in range(200):
        confidences = generator.uniform(least, most, count)
        rights = generator.random(count) < confidences - over
        drawn = [
            outcome(each, right) for each, right in zip(confidences.tolist(), rights.tolist(), strict=True)
        ]
        above += over > calibration_error.max_ece(drawn, draws=200)
    # A model without a calibration error never exceeds the bound.
    assert above / 200 <= 0.08


def test_the_bound_of_a_calibration_error_is_tight_with_many_questions() -> None:
    generator = np.random.default_rng(9)
    for over in (0.0, 0.1):
        confidences = generator.uniform(0.5, 1, 20_000)
        rights = generator.random(20_000) < confidences - over
        drawn = [
            outcome(each, right) for each, right in zip(confidences.tolist(), rights.tolist(), strict=True)
        ]
        assert over <= calibration_error.max_ece(drawn) < over + 0.02


outcomes_drawn = st.lists(
    st.builds(outcome, confidence=st.floats(0.5, 1), right=st.booleans()), min_size=1, max_size=60
)


@given(outcomes=outcomes_drawn)
def test_a_calibration_error_lies_between_the_overall_gap_and_the_mean_gap(outcomes: list[Outcome]) -> None:
    gaps = [each.right - each.confidence for each in outcomes]
    for binning in get_args(calibration_error.Binning):
        error = calibration_error.ece(outcomes, binning=binning)
        assert abs(sum(gaps)) / len(gaps) - 1e-9 <= error <= sum(map(abs, gaps)) / len(gaps) + 1e-9


@given(outcomes=outcomes_drawn)
def test_the_order_of_the_questions_does_not_matter(outcomes: list[Outcome]) -> None:
    backwards = outcomes[::-1]
    for figure in (calibration_error.ece, brier, negative_log_likelihood):
        assert figure(outcomes) == pytest.approx(figure(backwards))


def test_brier_score_and_likelihood_equal_values_computed_by_hand() -> None:
    three = Outcome(["A", "B", "C"], [0.5, 0.3, 0.2], 1)
    assert brier([three]) == pytest.approx(0.25 + 0.49 + 0.04)
    assert negative_log_likelihood([three]) == pytest.approx(-math.log(0.3))
    assert negative_log_likelihood([outcome(1.0, False)]) == pytest.approx(-math.log(1e-12))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(sum), st.data())
def test_the_brier_score_is_at_most_two(weights: list[float], data: st.DataObject) -> None:
    probabilities = [weight / sum(weights) for weight in weights]
    answer = data.draw(st.integers(0, len(weights) - 1))
    assert -1e-9 <= brier([Outcome("ABCDEF", probabilities, answer)]) <= 2 + 1e-9


def test_the_table_shows_preferred_letters() -> None:
    always_b = [Outcome(["A", "B", "C"], [0.2, 0.6, 0.2], answer) for answer in (0, 1, 1, 2)]
    rows = letter_bias.selection_bias(always_b)
    assert [(row.label, row.right, row.chosen, row.recall) for row in rows] == [
        ("A", 1, 0, 0), ("B", 2, 4, 1), ("C", 1, 0, 0),
    ]  # fmt: skip
    # Recalls 0, 1, 0: standard deviation sqrt(2)/3.
    assert letter_bias.recall_deviation(rows) == pytest.approx(math.sqrt(2) / 3)


def test_a_letter_that_was_never_right_has_no_recall() -> None:
    rows = letter_bias.selection_bias([Outcome(["A", "B", "C"], [0.5, 0.4, 0.1], 0)])
    assert rows[2].recall is None
    assert letter_bias.recall_deviation(rows) == 0


def test_each_subject_has_a_row_and_an_abstention_is_no_answer() -> None:
    outcomes = [
        outcome(0.9, True, subject="law"),
        outcome(0.9, False, subject="law", abstained=True),
        outcome(0.9, True, subject="art"),
        outcome(0.9, True),
    ]
    by_subject = accuracy_by_subject(outcomes)
    assert {name: (each.right, each.total) for name, each in by_subject.items()} == {
        "art": (1, 1),
        "law": (1, 2),
    }
    assert accuracy(each for each in outcomes if not each.abstained).value == 1


# Computed by hand from 2 * P(X <= k) of a fair coin; (6, 16) is 2 * 110056 / 2^22.
@pytest.mark.parametrize(
    ("only_first", "only_second", "expected"),
    [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32), (1, 9, 2 * 11 / 1024), (6, 16, 0.0525)],
)
def test_mcnemars_p_value_equals_one_computed_by_hand(
    only_first: int, only_second: int, expected: float
) -> None:
    assert paired.mcnemar(only_first, only_second) == pytest.approx(expected, abs=5e-5)


def verdict_shares(
    regression: float, limit: float, *, questions: int = 400, exams: int = 2000
) -> tuple[float, float]:
    """Return the shares of exams that place a regression within and beyond a limit; 20 % of answers change."""
    shares = [(0.2 + regression) / 2, (0.2 - regression) / 2, 0.8]
    drawn = np.random.default_rng(7).multinomial(questions, shares, size=exams)
    tables, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    ends = np.array([paired.regression(before, now, questions) for before, now in tables.tolist()])
    within, beyond = (ends[:, 1] <= limit), (ends[:, 0] > limit)
    return float(counts @ within) / exams, float(counts @ beyond) / exams


def test_a_regression_is_misjudged_no_more_often_than_stated() -> None:
    """Each error rate is 5 %; over 2,000 exams its standard error is half a per cent."""
    _, failed = verdict_shares(0.04, 0.05)
    assert failed < 0.03, "the regression is within the limit"
    assert verdict_shares(0.05, 0.05) == pytest.approx((0.05, 0.05), abs=0.015)
    passed, _ = verdict_shares(0.06, 0.05)
    assert passed < 0.03, "the regression is beyond the limit"
    passed, failed = verdict_shares(0.12, 0.05)
    assert passed == 0
    assert failed > 0.85


@pytest.mark.parametrize("true", [0.3, 0.6, 0.9])
def test_an_accuracy_is_below_or_above_its_interval_in_one_exam_of_twenty(true: float) -> None:
    drawn = np.random.default_rng(7).binomial(400, true, size=20_000)
    values, counts = np.unique(drawn, return_counts=True)
    ends = np.array([wilson_interval(int(right), 400, confidence=ONE_SIDED) for right in values])
    above, below = counts @ (ends[:, 0] > true), counts @ (ends[:, 1] < true)
    # The errors of a score interval vary around 5 % near 0 and 1, because counts are whole numbers.
    assert (above / 20_000, below / 20_000) == pytest.approx((0.05, 0.05), abs=0.02)


@given(st.lists(st.tuples(st.floats(0.5, 1), st.booleans()), min_size=1, max_size=60))
def test_the_calibration_error_averages_the_bins_of_the_reliability_diagram(
    drawn: list[tuple[float, bool]],
) -> None:
    outcomes = [outcome(confidence, right) for confidence, right in drawn]
    bins = calibration_error.reliability(outcomes)
    assert sum(each.count for each in bins) == len(outcomes)
    assert sum(each.accuracy.right for each in bins) == sum(right for _, right in drawn)
    assert all(each.low - 1e-9 <= each.confidence <= each.high + 1e-9 for each in bins)
    gaps = sum(abs(each.accuracy.right - each.confidence * each.count) for each in bins)
    assert gaps / len(outcomes) == pytest.approx(calibration_error.ece(outcomes))


def test_the_confusion_has_a_row_for_each_right_letter() -> None:
    outcomes = [
        Outcome(["A", "B", "C"], [0.7, 0.2, 0.1], 1),
        Outcome(["A", "B", "C"], [0.7, 0.2, 0.1], 1),
        Outcome(["A", "B"], [0.4, 0.6], 1),
    ]
    assert letter_bias.confusion(outcomes) == {
        "A": {"A": 0, "B": 0, "C": 0},
        "B": {"A": 2, "B": 1, "C": 0},
        "C": {"A": 0, "B": 0, "C": 0},
    }


def test_the_risk_coverage_curve_equals_one_computed_by_hand() -> None:
    # 40 questions with confidences of 0.501, 0.502 and so on; the 20 most confident ones are right.
    outcomes = [outcome(0.501 + 0.001 * index, index >= 20) for index in range(40)]
    curve = risk_coverage.risk_coverage(outcomes)
    assert [each.total for each in curve] == [*range(40, 0, -2)]
    assert [each.right for each in curve] == [min(20, total) for total in range(40, 0, -2)]
    assert curve[0].min_confidence == 0
    assert curve[1].min_confidence == 0.5021, "just above the second question, which it leaves out"
    assert [each.coverage for each in curve[:2]] == [1, 0.95]
    # If all of n are right, the exact lower bound is the n-th root of its error, here 5 % / 20.
    assert curve[10].interval == pytest.approx((0.0025 ** (1 / 20), 1))
    exact = binomtest(20, 40).proportion_ci(0.995, method="exact")
    assert curve[0].interval == pytest.approx((exact.low, exact.high))


def test_questions_of_equal_confidence_are_all_answered_or_none() -> None:
    outcomes = [outcome(0.6, True)] * 15 + [outcome(0.9, True)] * 5 + [outcome(1.0, True)] * 10
    curve = risk_coverage.risk_coverage(outcomes)
    assert [(each.min_confidence, each.total) for each in curve] == [(0, 30), (0.6001, 15), (0.9001, 10)]


def test_the_threshold_has_the_greatest_coverage_with_enough_accuracy() -> None:
    outcomes = [outcome(0.501 + 0.001 * index, index >= 200) for index in range(400)]
    curve = risk_coverage.risk_coverage(outcomes)
    for target, total in ((0.4, 400), (0.5, 340), (0.98, None)):
        point = risk_coverage.threshold(curve, target)
        assert (point.total if point else None) == total, target


def test_a_chosen_threshold_rarely_has_less_accuracy_than_wished_on_other_questions() -> None:
    # The hardest case: the confidence says nothing, and the accuracy is just below the wished one everywhere.
    generator = random.Random(3)
    chosen = 0
    for _ in range(60):
        drawn = [outcome(generator.uniform(0.5, 1), generator.random() < 0.79) for _ in range(200)]
        chosen += risk_coverage.threshold(risk_coverage.risk_coverage(drawn), 0.8) is not None
    assert chosen <= 3
