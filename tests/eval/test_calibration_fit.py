"""A fit finds a known prior and temperature, uses only plans that help, and is tested on other questions."""

import math
import random
from string import ascii_uppercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcq_eval.calibration_fit.estimation import best_temperature, letter_prior
from mcq_eval.calibration_fit.fit import best_form, fit_calibration
from mcq_eval.calibration_fit.plans import PLAIN, PLANS, Plan, best_plan
from mcq_eval.calibration_fit.scored_question import ScoredQuestion
from mcq_eval.errors import NothingToFit
from mcq_eval.metrics import calibration_error, outcomes
from mcq_eval.metrics.outcomes import Outcome
from mcq_service.mcq.calibration import ChoicesCalibration
from mcq_service.mcq.probabilities import rotations, softmax
from mcq_service.prompts import CHATML

PRIOR = {"A": 0.1, "B": 0.6, "C": 0.1, "D": 0.2}


EVEN = dict.fromkeys("ABCD", 0.25)


def scored_questions(
    count: int, *, prior: dict[str, float] = PRIOR, sharpness: float = 1.0, noise: float = 0.0, seed: int = 3
) -> list[ScoredQuestion]:
    """Return scores of an overconfident model that knows a true distribution and prefers letters by `prior`.

    With `noise` each order of the choices moves their scores at random.
    """
    generator = random.Random(seed)
    labels = list(prior)
    questions = []
    for _ in range(count):
        truth = [generator.gauss(0, 1.2) for _ in labels]
        (answer,) = generator.choices(range(len(labels)), weights=softmax(truth))
        scores = [
            [
                sharpness * (truth[choice] + generator.gauss(0, noise)) + math.log(prior[label]) + 7.0
                for label, choice in zip(labels, order, strict=True)
            ]
            for order in rotations(len(labels))
        ]
        questions.append(ScoredQuestion(labels, scores, answer))
    return questions


def test_the_fit_finds_the_letter_prior() -> None:
    prior = letter_prior(scored_questions(40))
    assert sum(prior.values()) == pytest.approx(1)
    assert prior == pytest.approx(PRIOR, abs=1e-9)


def test_each_number_of_choices_has_its_own_prior() -> None:
    two = scored_questions(200, prior={"A": 0.7, "B": 0.3}, sharpness=3)
    choices = fit_calibration([*scored_questions(200), *two]).calibration.choices
    assert choices[2].prior == pytest.approx({"A": 0.7, "B": 0.3})
    assert choices[4].prior == pytest.approx(PRIOR)
    assert choices[4].temperature < 1.5 < choices[2].temperature


@pytest.mark.parametrize("count", range(2, 27))
def test_any_number_of_choices_can_be_calibrated(count: int) -> None:
    prior = dict.fromkeys(ascii_uppercase[:count], 1 / count)
    fit = fit_calibration(scored_questions(10, prior=prior))
    assert fit.calibration.choices[count].prior == pytest.approx(prior)
    assert not fit.unmeasured


def test_a_number_of_choices_with_few_questions_is_not_calibrated() -> None:
    fit = fit_calibration([*scored_questions(20), *scored_questions(9, prior={"A": 0.5, "B": 0.5})])
    assert set(fit.calibration.choices) == {4}
    assert fit.unmeasured == {2: 9}
    assert len(fit.raw) == len(fit.calibrated) == 20


def test_the_fit_finds_the_temperature_of_an_overconfident_model() -> None:
    fitted = fit_calibration(scored_questions(800, sharpness=2.5)).calibration.choices[4]
    assert fitted.temperature == pytest.approx(2.5, rel=0.15)
    assert fitted.rotations_temperature == pytest.approx(2.5, rel=0.15)


def test_calibrating_helps_on_questions_it_was_not_fitted_on() -> None:
    fit = fit_calibration(scored_questions(600, sharpness=2.5))
    assert outcomes.accuracy(fit.calibrated).right > outcomes.accuracy(fit.raw).right
    assert outcomes.negative_log_likelihood(fit.calibrated) < outcomes.negative_log_likelihood(fit.raw)
    assert calibration_error.ece(fit.calibrated) < 0.07 < calibration_error.ece(fit.raw)
    assert [each.answer for each in fit.calibrated] == [each.answer for each in fit.raw]


def test_a_reported_outcome_does_not_depend_on_the_questions_own_answer() -> None:
    questions = scored_questions(20)
    changed = [
        ScoredQuestion(questions[0].labels, questions[0].scores, (questions[0].answer + 1) % 4),
        *questions[1:],
    ]
    first, second = fit_calibration(questions), fit_calibration(changed)
    for trial, changed_trial in zip(first.trials, second.trials, strict=True):
        assert trial.outcomes[0].probabilities == changed_trial.outcomes[0].probabilities
    assert first.calibration != second.calibration


def plan_of(questions: list[ScoredQuestion]) -> Plan:
    """Return the plan taken for four choices."""
    fit = fit_calibration(questions)
    [taken] = [trial for trial in fit.trials if trial.taken]
    measured = fit.calibration.choices[4]
    assert (taken.choices, taken.prompts > 1) == (4, measured.second_order is not None)
    return Plan(measured.strength, round(taken.prompts - 1, 4))


def test_a_strong_prior_is_removed_completely() -> None:
    assert plan_of(scored_questions(400)) == Plan(1.0, 0.0)


def test_scores_without_a_letter_prior_are_not_changed() -> None:
    """The fit takes the plan that leaves scores unchanged."""
    assert plan_of(scored_questions(400, prior=EVEN)) == PLAIN


def test_with_noisy_orders_some_questions_are_asked_in_a_second_order() -> None:
    questions = scored_questions(600, prior=EVEN, noise=1.5)
    assert plan_of(questions).second_order == pytest.approx(0.4)
    fit = fit_calibration(questions)
    right, before = (outcomes.accuracy(each).right for each in (fit.calibrated, fit.raw))
    assert right > before + 0.01 * len(questions)
    second = fit.calibration.choices[4].second_order
    assert second is not None
    assert 0 < second.margin < 1


def binary_outcomes(answer: float, right: int, total: int = 100) -> list[Outcome]:
    """Return `total` outcomes of two choices; `right` of them give the right choice `answer`."""
    return [
        Outcome("AB", [answer, 1 - answer] if index < right else [1 - answer, answer], 0)
        for index in range(total)
    ]


@pytest.mark.parametrize(
    ("plain", "other", "better"),
    [
        (binary_outcomes(0.6, 60), binary_outcomes(0.7, 70), True),
        (binary_outcomes(0.6, 60), binary_outcomes(0.6, 60), False),
        (binary_outcomes(0.6, 60), binary_outcomes(0.99, 59), False),
    ],
)
def test_a_plan_is_taken_if_it_gains_and_loses_no_right_answers(
    plain: list[Outcome], other: list[Outcome], better: bool
) -> None:
    outcomes_by_plan = {plan: other if plan == PLANS[1] else plain for plan in PLANS}
    assert best_plan(outcomes_by_plan, ["exam"] * 100) == (PLANS[1] if better else PLAIN)


def test_a_plan_that_is_worse_in_one_exam_is_not_taken() -> None:
    """A large gain in the other exams does not matter."""
    plain, other = (
        binary_outcomes(0.6, 60) + binary_outcomes(0.6, 10, total=20),
        binary_outcomes(0.7, 90) + binary_outcomes(0.6, 9, total=20),
    )
    exams = ["large"] * 100 + ["small"] * 20
    outcomes_by_plan = {plan: other if plan == PLANS[1] else plain for plan in PLANS}
    assert best_plan(outcomes_by_plan, exams) == PLAIN
    assert best_plan(outcomes_by_plan, ["both"] * 120) == PLANS[1]


def test_the_form_with_the_most_likely_right_answers_is_taken() -> None:
    scored = {
        "blurred": scored_questions(200, noise=2.0),
        "clear": scored_questions(200),
        "turned": scored_questions(200, noise=1.0),
    }
    name, trials = best_form(scored)
    assert name == "clear"
    assert [(trial.name, trial.taken) for trial in trials] == [
        ("blurred", False), ("clear", True), ("turned", False),
    ]  # fmt: skip


def test_the_calibration_belongs_to_the_form_of_the_questions() -> None:
    form = [*CHATML.answering.values()][-1]
    assert fit_calibration(scored_questions(20), form.digest).calibration.prompt_digest == form.digest


def test_too_few_questions_are_refused() -> None:
    with pytest.raises(NothingToFit, match="9 questions"):
        fit_calibration(scored_questions(9))
    with pytest.raises(NothingToFit, match="9 questions"):
        best_form({"a form": scored_questions(9)})


scores_and_answers = st.lists(
    st.tuples(st.lists(st.floats(-8, 8), min_size=3, max_size=3), st.integers(0, 2)), min_size=1, max_size=20
)


@given(scores_and_answers)
def test_no_temperature_in_the_range_is_better_than_the_best(rows: list[tuple[list[float], int]]) -> None:
    def loss(temperature: float) -> float:
        surprise = sum(
            -math.log(max(softmax([each / temperature for each in scores])[answer], 1e-300))
            for scores, answer in rows
        )
        # The prior of the logarithm is normal, with a standard deviation of 0.5.
        return surprise + 2 * math.log(temperature) ** 2

    best = best_temperature([scores for scores, _ in rows], [answer for _, answer in rows])
    assert 0.05 <= best <= 20
    for other in (0.05, 0.2, 0.7, 1.0, 1.5, 4.0, 20.0):
        assert loss(best) <= loss(other) + 1e-3 * (1 + abs(loss(other)))


def test_a_few_right_answers_do_not_make_the_temperature_extreme() -> None:
    """Without its prior the best temperature would be 0."""
    assert 0.3 < best_temperature([[3.0, 0.0, 0.0]] * 10, [0] * 10) < 1
    assert best_temperature([[3.0, 0.0, 0.0]] * 3000, [0] * 3000) < 0.33


def test_removing_the_fitted_prior_makes_all_orders_agree() -> None:
    questions = scored_questions(50)
    measured = ChoicesCalibration(prior=letter_prior(questions))
    for each in questions:
        first, second = (softmax(measured.without_prior(row, each.labels)) for row in each.scores[:2])
        assert [second[-1], *second[:-1]] == pytest.approx(first)
