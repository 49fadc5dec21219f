"""Fit a calibration to a model's scores of questions with known answers; pure functions.

Each candidate is fitted on four fifths of the questions and judged on the other fifth, in turn.

- The **form** of the prompt is the one with the lowest negative log-likelihood.
- Each number of choices has a **prior** of the letters (PriDe, arXiv 2309.03882): over all rotations of a question's
  choices, each letter stands for each choice once. So the letters' mean log-probabilities differ only by the letters.
- A **plan** sets the share of the prior to remove, and the share of questions in a second order. The plain plan
  changes no choice. Another plan is taken only if it is better beyond chance, and has no fewer right answers in any
  exam.
- Each **temperature** is the one with the lowest negative log-likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcq_eval.calibration_fit.estimation import fit_plan, letter_prior
from mcq_eval.calibration_fit.plans import PLAIN, PLANS, Plan, best_plan
from mcq_eval.calibration_fit.scored_question import group_by_choices
from mcq_eval.errors import NothingToFit
from mcq_eval.metrics.outcomes import Outcome, negative_log_likelihood
from mcq_service.mcq.calibration import Calibration
from mcq_service.mcq.probabilities import mean_by_choice, rotations, softmax

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcq_eval.calibration_fit.scored_question import ScoredQuestion

FOLDS = 5
MIN_QUESTIONS = 2 * FOLDS
"""The fewest questions that calibrate a number of choices."""


@dataclass(frozen=True)
class Trial:
    """The effect of a form or plan on questions that it was not fitted on. `choices` is None for all numbers."""

    name: str
    choices: int | None
    prompts: float
    outcomes: list[Outcome]
    taken: bool


@dataclass(frozen=True)
class Fit:
    """A calibration, and its effect on questions that it was not fitted on.

    `raw` has the questions as the model scores them in their own order. `calibrated` has them answered by the chosen
    plans, and `rotated` by all rotations, each calibrated on the four other fifths. The plans were chosen on all
    fifths.
    """

    calibration: Calibration
    raw: list[Outcome]
    calibrated: list[Outcome]
    rotated: list[Outcome]
    trials: list[Trial]
    unmeasured: dict[int, int]
    """The numbers of choices with too few questions, and how many questions have them."""


def best_form(scored: Mapping[str, Sequence[ScoredQuestion]]) -> tuple[str, list[Trial]]:
    """Return the form that gives the right answers the greatest likelihood, and a trial of each. Raises NothingToFit.

    It looks at the questions' own order alone.
    """
    outcomes = {}
    for name, questions in scored.items():
        groups = [group for group in group_by_choices(questions).values() if len(group) >= MIN_QUESTIONS]
        _require_groups(groups, questions)
        outcomes[name] = [
            each for group in groups for each in _cross_validate(group, [Plan(strength=1.0)])[0]
        ]
    best = min(outcomes, key=lambda name: negative_log_likelihood(outcomes[name]))
    return best, [Trial(name, None, 1.0, each, name == best) for name, each in outcomes.items()]


def fit_calibration(questions: Sequence[ScoredQuestion], prompt_digest: str | None = None) -> Fit:
    """Choose the plans, fit them, and estimate their effect by cross-validation. Raises NothingToFit."""
    choices, trials = {}, []
    raw, calibrated, rotated = [], [], []
    groups = group_by_choices(questions)
    measured = {count: group for count, group in groups.items() if len(group) >= MIN_QUESTIONS}
    _require_groups(list(measured.values()), questions)
    for count, group in measured.items():
        *plan_outcomes, rotations = _cross_validate(group, [*PLANS, None])
        outcomes = dict(zip(PLANS, plan_outcomes, strict=True))
        plan = best_plan(outcomes, [each.exam for each in group])
        choices[count] = fit_plan(group, plan, letter_prior(group))
        trials += [
            Trial(each.description, count, each.prompts, outcomes[each], each == plan) for each in PLANS
        ]
        trials.append(Trial("all rotations", count, float(count), rotations, taken=False))
        raw += [_outcome(each, softmax(each.scores[0])) for each in group]
        calibrated += outcomes[plan]
        rotated += rotations
    return Fit(
        calibration=Calibration(choices=choices, prompt_digest=prompt_digest),
        raw=raw,
        calibrated=calibrated,
        rotated=rotated,
        trials=trials,
        unmeasured={count: len(group) for count, group in groups.items() if count not in measured},
    )


def _cross_validate(questions: Sequence[ScoredQuestion], plans: Sequence[Plan | None]) -> list[list[Outcome]]:
    """Answer each question under each plan, fitted on the four other fifths; None stands for all rotations."""
    outcomes: list[dict[int, Outcome]] = [{} for _ in plans]
    for fold in range(FOLDS):
        others = [each for index, each in enumerate(questions) if index % FOLDS != fold]
        prior = letter_prior(others)
        for plan, of_plan in zip(plans, outcomes, strict=True):
            measured = fit_plan(others, plan or PLAIN, prior)
            calibration = Calibration(choices={len(others[0].labels): measured})
            for index in range(fold, len(questions), FOLDS):
                of_plan[index] = _answer(questions[index], calibration, rotate=plan is None)
    return [[of_plan[index] for index in range(len(questions))] for of_plan in outcomes]


def _answer(question: ScoredQuestion, calibration: Calibration, *, rotate: bool) -> Outcome:
    """Answer the question as the service does."""
    if rotate:
        means = mean_by_choice(question.scores, rotations(len(question.scores)))
        return _outcome(question, calibration.apply_to_rotations(means))
    first = question.scores[0]
    probabilities = calibration.apply(first, question.labels)
    if calibration.needs_second_order(probabilities):
        second = question.scores[len(question.labels) // 2]
        probabilities = calibration.apply_to_both_orders(first, second, question.labels)
    return _outcome(question, probabilities)


def _outcome(question: ScoredQuestion, probabilities: Sequence[float]) -> Outcome:
    return Outcome(question.labels, probabilities, question.answer, question.subject)


def _require_groups(groups: Sequence[Sequence[ScoredQuestion]], questions: Sequence[ScoredQuestion]) -> None:
    if not groups:
        raise NothingToFit(
            f"{len(questions)} questions are too few to fit a calibration: take at least {MIN_QUESTIONS} questions"
            " with the same number of choices."
        )
