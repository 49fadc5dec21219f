"""Scores become probabilities as in arXiv 2309.03882 for calibrated numbers of choices."""

import math
from string import ascii_uppercase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mcq_service.mcq.calibration import Calibration, ChoicesCalibration, SecondOrder, second_order
from mcq_service.mcq.probabilities import rotations

PRIOR = {"A": 0.1, "B": 0.6, "C": 0.2, "D": 0.1}


def calibration_of(choices: int, **fields: Any) -> Calibration:
    """Return a calibration of questions with this number of choices."""
    return Calibration(choices={choices: ChoicesCalibration(**fields)})


def logs(*probabilities: float) -> list[float]:
    return [math.log(each) for each in probabilities]


def test_without_a_calibration_probabilities_are_the_models_own() -> None:
    assert Calibration().apply([7 + each for each in logs(0.2, 0.6)], ["A", "B"]) == pytest.approx(
        [0.25, 0.75]
    )
    assert Calibration().apply_to_rotations(logs(0.2, 0.6)) == pytest.approx([0.25, 0.75])


def test_the_letters_prior_is_divided_out() -> None:
    # 0.1/0.1 : 0.6/0.6 : 0.2/0.2 : 0.1/0.1 is one to one: a model that only repeats its prior prefers nothing.
    probabilities = calibration_of(4, prior=PRIOR).apply(logs(0.1, 0.6, 0.2, 0.1), "ABCD")
    assert probabilities == pytest.approx([0.25] * 4)
    probabilities = calibration_of(4, prior=PRIOR).apply(logs(0.2, 0.6, 0.1, 0.1), "ABCD")
    assert probabilities == pytest.approx([2 / 4.5, 1 / 4.5, 0.5 / 4.5, 1 / 4.5])


def test_a_temperature_above_one_lowers_the_confidence_and_keeps_the_order() -> None:
    even = {"A": 0.2, "B": 0.2, "C": 0.2}
    cold, hot = (
        calibration_of(3, prior=even, temperature=t).apply(logs(0.1, 0.7, 0.2), "ABC") for t in (1.0, 2.0)
    )
    roots = [math.sqrt(each) for each in (0.1, 0.7, 0.2)]
    assert hot == pytest.approx([each / sum(roots) for each in roots])
    assert max(hot) < max(cold)


def test_the_mean_of_rotations_has_its_own_temperature_and_no_prior() -> None:
    calibration = calibration_of(2, prior={"A": 0.9, "B": 0.1}, temperature=9, rotations_temperature=0.5)
    assert calibration.apply_to_rotations(logs(0.5, 0.25)) == pytest.approx([0.8, 0.2])


@pytest.mark.parametrize("count", [2, 3, 5, 26])
def test_another_number_of_choices_is_not_calibrated(count: int) -> None:
    """A preference among four letters says nothing about a true-false question."""
    second = SecondOrder(margin=1)
    calibration = calibration_of(4, prior=PRIOR, temperature=3, rotations_temperature=3, second_order=second)
    labels = ascii_uppercase[:count]
    scores = logs(*range(1, count + 1))
    plain = [number / sum(range(1, count + 1)) for number in range(1, count + 1)]
    assert calibration.apply(scores, labels) == pytest.approx(plain)
    assert calibration.apply_to_rotations(scores) == pytest.approx(plain)
    assert not calibration.has_second_order(count)
    assert not calibration.needs_second_order(plain)


def test_a_letter_without_a_prior_is_neither_favoured_nor_punished() -> None:
    scores = ChoicesCalibration(prior=PRIOR).without_prior([0.0] * 4, ["B", "D", "Z", "A"])
    known = logs(0.1, 0.6, 0.2, 0.1)
    assert scores == pytest.approx([-known[1], -known[3], -sum(known) / 4, -known[0]])


def test_a_strength_of_half_divides_out_half_of_the_prior() -> None:
    halves = [math.sqrt(each) for each in (0.1, 0.6, 0.2, 0.1)]
    probabilities = calibration_of(4, prior=PRIOR, strength=0.5).apply(logs(0.1, 0.6, 0.2, 0.1), "ABCD")
    assert probabilities == pytest.approx([each / sum(halves) for each in halves])
    probabilities = calibration_of(4, prior=PRIOR, strength=0).apply(logs(0.1, 0.6, 0.2, 0.1), "ABCD")
    assert probabilities == pytest.approx([0.1, 0.6, 0.2, 0.1])


@pytest.mark.parametrize(
    ("first", "second_order"), [((0.3, 0.28, 0.22, 0.2), True), ((0.6, 0.2, 0.1, 0.1), False)]
)
def test_only_an_uncertain_question_is_asked_in_a_second_order(
    first: tuple[float, ...], second_order: bool
) -> None:
    calibration = calibration_of(4, prior=PRIOR, second_order=SecondOrder(margin=0.05))
    assert calibration.has_second_order(4)
    assert calibration.needs_second_order(first) is second_order
    assert not calibration_of(4, prior=PRIOR).needs_second_order(first)


@pytest.mark.parametrize("count", range(2, 27))
def test_the_second_order_gives_each_choice_another_letter(count: int) -> None:
    """The order is one of the rotations, so the calibration of rotations applies to it."""
    order = second_order(count)
    assert order in rotations(count)
    assert all(letter != choice for letter, choice in enumerate(order))


def test_the_mean_of_both_orders_has_its_own_temperature() -> None:
    """The model prefers the letter A; the choice that it prefers both as A and as C wins."""
    even = dict.fromkeys("ABCD", 0.25)
    second = SecondOrder(margin=1, temperature=0.5)
    calibration = calibration_of(4, prior=even, temperature=7, second_order=second)
    probabilities = calibration.apply_to_both_orders(
        logs(0.4, 0.2, 0.2, 0.2), logs(0.1, 0.2, 0.6, 0.1), "ABCD"
    )
    means = [0.4 * 0.6, 0.2 * 0.1, 0.2 * 0.1, 0.2 * 0.2]  # the square of a geometric mean is a product
    assert probabilities == pytest.approx([each / sum(means) for each in means])


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0}, {"temperature": -1}, {"prior": {"A": 0.0}}, {"strength": 1.1}]
)
def test_an_invalid_calibration_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Calibration.model_validate({"choices": {4: {"prior": PRIOR, **wrong}}})


@given(
    scores=st.lists(st.floats(-1000, 1000), min_size=2, max_size=26),
    temperature=st.floats(0.05, 20),
    data=st.data(),
)
def test_probabilities_sum_to_one_whatever_the_letters(
    scores: list[float], temperature: float, data: st.DataObject
) -> None:
    labels = data.draw(st.permutations(ascii_uppercase))[: len(scores)]
    calibration = calibration_of(4, prior=PRIOR, temperature=temperature)
    probabilities = calibration.apply(scores, labels)
    assert all(0 <= each <= 1 for each in probabilities)
    assert sum(probabilities) == pytest.approx(1)
    moved = calibration.apply([each + 3 for each in scores], labels)
    assert moved == pytest.approx(probabilities, abs=1e-6)
    assert sum(calibration.apply_to_rotations(scores)) == pytest.approx(1)
