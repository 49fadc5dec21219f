"""Scores become probabilities as arXiv 2309.03882 has it, for the numbers of choices that were measured."""

import math
from string import ascii_uppercase

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mcq_service.answering.calibration import Calibration

PRIOR = {4: {"A": 0.1, "B": 0.6, "C": 0.2, "D": 0.1}}


def logs(*probabilities: float) -> list[float]:
    return [math.log(each) for each in probabilities]


def test_with_nothing_known_probabilities_are_in_proportion_to_what_the_model_says() -> None:
    assert Calibration().apply([7 + each for each in logs(0.2, 0.6)], ["A", "B"]) == pytest.approx(
        [0.25, 0.75]
    )
    assert Calibration().tempered(logs(0.2, 0.6)) == pytest.approx([0.25, 0.75])


def test_the_letters_prior_is_divided_out() -> None:
    # 0.1/0.1 : 0.6/0.6 : 0.2/0.2 : 0.1/0.1 is one to one: a model that says only its prior says nothing.
    said = Calibration(prior=PRIOR).apply(logs(0.1, 0.6, 0.2, 0.1), "ABCD")
    assert said == pytest.approx([0.25] * 4)
    said = Calibration(prior=PRIOR).apply(logs(0.2, 0.6, 0.1, 0.1), "ABCD")
    assert said == pytest.approx([2 / 4.5, 1 / 4.5, 0.5 / 4.5, 1 / 4.5])


def test_a_temperature_above_one_makes_less_sure_and_keeps_the_order() -> None:
    even = {3: {"A": 0.2, "B": 0.2, "C": 0.2}}
    cold, hot = (Calibration(prior=even, temperature=t).apply(logs(0.1, 0.7, 0.2), "ABC") for t in (1.0, 2.0))
    roots = [math.sqrt(each) for each in (0.1, 0.7, 0.2)]
    assert hot == pytest.approx([each / sum(roots) for each in roots])
    assert max(hot) < max(cold)


def test_the_mean_of_rotations_has_a_temperature_of_its_own_and_no_prior() -> None:
    two = {2: {"A": 0.9, "B": 0.1}}
    calibration = Calibration(prior=two, temperature=9, rotations_temperature=0.5)
    assert calibration.tempered(logs(0.5, 0.25)) == pytest.approx([0.8, 0.2])


@pytest.mark.parametrize("count", [2, 3, 5, 26])
def test_another_number_of_choices_than_was_measured_is_not_calibrated(count: int) -> None:
    """What the model prefers among four letters says nothing of a question that is true or false."""
    calibration = Calibration(prior=PRIOR, temperature=3, rotations_temperature=3)
    labels = ascii_uppercase[:count]
    scores = logs(*range(1, count + 1))
    plain = [number / sum(range(1, count + 1)) for number in range(1, count + 1)]
    assert calibration.apply(scores, labels) == pytest.approx(plain)
    assert calibration.tempered(scores) == pytest.approx(plain)
    assert not calibration.covers(count)


def test_a_letter_that_was_not_measured_is_neither_favoured_nor_punished() -> None:
    found = Calibration(prior=PRIOR).log_prior(["B", "D", "Z", "A"])
    known = logs(0.1, 0.6, 0.2, 0.1)
    assert found == pytest.approx([known[1], known[3], sum(known) / 4, known[0]])


@pytest.mark.parametrize("wrong", [{"temperature": 0}, {"temperature": -1}, {"prior": {4: {"A": 0.0}}}])
def test_what_can_not_be_a_calibration_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Calibration.model_validate(wrong)


@given(
    scores=st.lists(st.floats(-1000, 1000), min_size=2, max_size=26),
    temperature=st.floats(0.05, 20),
    data=st.data(),
)
def test_probabilities_sum_to_one_whatever_the_letters(
    scores: list[float], temperature: float, data: st.DataObject
) -> None:
    labels = data.draw(st.permutations(ascii_uppercase))[: len(scores)]
    calibration = Calibration(prior=PRIOR, temperature=temperature)
    said = calibration.apply(scores, labels)
    assert all(0 <= each <= 1 for each in said)
    assert sum(said) == pytest.approx(1)
    moved = calibration.apply([each + 3 for each in scores], labels)
    assert moved == pytest.approx(said, abs=1e-6)
    assert sum(calibration.tempered(scores)) == pytest.approx(1)
