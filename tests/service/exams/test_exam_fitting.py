"""A known prior and a known temperature are found again, and what is reported was not fitted on."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcq_service.answering.calibration import Calibration
from mcq_service.answering.deciding import rotations, softmax
from mcq_service.exams import statistics
from mcq_service.exams.errors import NothingToFit
from mcq_service.exams.fitting import Scored, best_temperature, fit, letter_prior

PRIOR = {"A": 0.1, "B": 0.6, "C": 0.1, "D": 0.2}


def asked(
    count: int, *, prior: dict[str, float] = PRIOR, sharpness: float = 1.0, seed: int = 3
) -> list[Scored]:
    """Questions of a model that knows a true distribution, adds a letter prior, and is too sure by `sharpness`."""
    generator = random.Random(seed)  # noqa: S311 - a fixed sequence
    labels = list(prior)
    made = []
    for _ in range(count):
        truth = [generator.gauss(0, 1.2) for _ in labels]
        (answer,) = generator.choices(range(len(labels)), weights=softmax(truth))
        scores = [
            [
                sharpness * truth[choice] + math.log(prior[label]) + 7.0
                for label, choice in zip(labels, order, strict=True)
            ]
            for order in rotations(len(labels))
        ]
        made.append(Scored(labels, scores, answer))
    return made


def test_the_prior_of_the_letters_is_found() -> None:
    found = letter_prior(asked(40))[4]
    assert sum(found.values()) == pytest.approx(1)
    assert found == pytest.approx(PRIOR, abs=1e-9)


def test_each_number_of_choices_has_its_own_prior() -> None:
    found = letter_prior([*asked(10), *asked(10, prior={"A": 0.7, "B": 0.3})])
    assert found[2] == pytest.approx({"A": 0.7, "B": 0.3})
    assert found[4] == pytest.approx(PRIOR)


def test_the_temperature_of_a_model_that_is_too_sure_is_found() -> None:
    fitted = fit(asked(1500, sharpness=2.5)).calibration
    assert fitted.temperature == pytest.approx(2.5, rel=0.1)
    assert fitted.rotations_temperature == pytest.approx(2.5, rel=0.1)


def test_calibrating_helps_on_questions_it_was_not_fitted_on() -> None:
    found = fit(asked(600, sharpness=2.5))
    assert statistics.accuracy(found.calibrated).value > statistics.accuracy(found.raw).value
    assert statistics.negative_log_likelihood(found.calibrated) < statistics.negative_log_likelihood(
        found.raw
    )
    assert statistics.ece(found.calibrated) < 0.06 < statistics.ece(found.raw)
    assert [each.answer for each in found.calibrated] == [each.answer for each in found.raw]


def test_what_is_reported_of_a_question_does_not_depend_on_its_own_answer() -> None:
    questions = asked(20)
    changed = [
        Scored(questions[0].labels, questions[0].scores, (questions[0].answer + 1) % 4),
        *questions[1:],
    ]
    one, other = fit(questions), fit(changed)
    assert one.calibrated[0].probabilities == other.calibrated[0].probabilities
    assert one.rotated[0].probabilities == other.rotated[0].probabilities
    assert one.calibration != other.calibration


def test_too_few_questions_are_refused() -> None:
    with pytest.raises(NothingToFit, match="9 questions"):
        fit(asked(9))


scores_and_answers = st.lists(
    st.tuples(st.lists(st.floats(-8, 8), min_size=3, max_size=3), st.integers(0, 2)), min_size=1, max_size=20
)


@given(scores_and_answers)
def test_no_temperature_in_the_range_is_better_than_the_best(rows: list[tuple[list[float], int]]) -> None:
    def loss(temperature: float) -> float:
        return sum(
            -math.log(max(softmax([each / temperature for each in scores])[answer], 1e-300))
            for scores, answer in rows
        )

    best = best_temperature([scores for scores, _ in rows], [answer for _, answer in rows])
    assert 0.05 <= best <= 20
    for other in (0.05, 0.2, 0.7, 1.0, 1.5, 4.0, 20.0):
        assert loss(best) <= loss(other) + 1e-3 * (1 + abs(loss(other)))


def test_a_fitted_calibration_gives_back_the_truth() -> None:
    questions = asked(50)
    calibration = Calibration(prior=letter_prior(questions))
    for each in questions:
        first, second = (calibration.apply(row, each.labels) for row in (each.scores[0], each.scores[1]))
        assert [second[-1], *second[:-1]] == pytest.approx(first)
