"""Fit a calibration to a model's scores of questions whose answers are known: pure arithmetic.

Every candidate is fitted on four fifths of the questions and judged on the other fifth, in turn.

- The **form** of the prompt is the one of least negative log-likelihood.
- For each number of choices there is a **prior** of the letters (PriDe, arXiv 2309.03882): over all rotations of a
  question's choices each letter stands for each choice once, so what remains in the mean log-probability of a letter
  is the letter's own.
- A **plan** says how much of the prior is taken out, and which share of the questions is asked in a second order. The
  plain plan changes no choice. Another one is taken only where it is better beyond chance, and has no fewer right
  answers in any of the exams.
- Each **temperature** is the one of least negative log-likelihood.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mcq_service.answering.calibration import Calibration, Measured, SecondOrder, second_order
from mcq_service.answering.deciding import mean_by_choice, softmax, unrotated
from mcq_service.exams.errors import NothingToFit
from mcq_service.exams.statistics import Outcome, negative_log_likelihood, quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FOLDS = 5
LEAST = 2 * FOLDS
"""Questions that a number of choices needs to be measured."""
_COLDEST, _HOTTEST = 0.05, 20.0
_SPREAD = 0.5
"""How far the logarithm of a temperature is from 0 as a rule: with few questions it is held there."""
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Scored:
    """A question as a model scored it, in its own order alone or in every rotation.

    `scores[r][i]` is the log-probability, up to one constant of the row, of `labels[i]` when the choices are offered
    in the order `rotations(n)[r]`; row 0 is their own order. `answer` is the right choice's position in that order.
    """

    labels: Sequence[str]
    scores: Sequence[Sequence[float]]
    answer: int
    subject: str | None = None
    exam: str = ""

    @property
    def turns(self) -> list[Scored]:
        """The question as if each order that it was scored in were its own."""
        rows, count = list(self.scores), len(self.labels)
        return [
            replace(self, scores=rows[turn:] + rows[:turn], answer=(self.answer - turn) % count)
            for turn in range(len(rows))
        ]


class Plan(NamedTuple):
    """How questions are answered: how much of the prior is taken out, and what share is asked in a second order."""

    strength: float = 0.0
    again: float = 0.0

    @property
    def prompts(self) -> float:
        """How many prompts a question takes, in the mean."""
        return 1 + self.again


PLAIN = Plan()
PLANS = tuple(Plan(strength, again) for again in (0.0, 0.2, 0.4) for strength in (0.0, 0.5, 1.0))
"""All that are tried."""


@dataclass(frozen=True)
class Trial:
    """What a form or a plan does to questions that it was not fitted on; `choices` is None where it is of all."""

    name: str
    choices: int | None
    prompts: float
    outcomes: list[Outcome]
    taken: bool


@dataclass(frozen=True)
class Fit:
    """A calibration, and what it does to questions that it was not fitted on.

    `raw` are the questions as the model scores them in their own order; `calibrated` and `rotated` as they are after a
    calibration fitted on the four other fifths, by the plans taken and by rotations. The plans were taken on all.
    """

    calibration: Calibration
    raw: list[Outcome]
    calibrated: list[Outcome]
    rotated: list[Outcome]
    trials: list[Trial]
    unmeasured: dict[int, int]
    """Numbers of choices that too few questions have, and how many have them."""


def best_form(scored: Mapping[str, Sequence[Scored]]) -> tuple[str, list[Trial]]:
    """The form whose letters say most of the right answers, by their own order alone. Raises NothingToFit."""
    outcomes = {}
    for name, questions in scored.items():
        groups = [group for group in by_choices(questions).values() if len(group) >= LEAST]
        _enough(groups, questions)
        outcomes[name] = [each for group in groups for each in _judged(group, [Plan(strength=1.0)])[0]]
    best = min(outcomes, key=lambda name: negative_log_likelihood(outcomes[name]))
    return best, [Trial(name, None, 1.0, each, name == best) for name, each in outcomes.items()]


def fit(questions: Sequence[Scored], prompt_digest: str | None = None) -> Fit:
    """Choose, fit, and estimate by cross-validation. Raises NothingToFit."""
    choices, trials = {}, []
    raw, calibrated, rotated = [], [], []
    groups = by_choices(questions)
    measured = {count: group for count, group in groups.items() if len(group) >= LEAST}
    _enough(list(measured.values()), questions)
    for count, group in measured.items():
        *of_plans, rotations = _judged(group, [*PLANS, None])
        judged = dict(zip(PLANS, of_plans, strict=True))
        plan = best_plan(judged, [each.exam for each in group])
        choices[count] = measure(group, plan, letter_prior(group))
        trials += [Trial(_name(each), count, each.prompts, judged[each], each == plan) for each in PLANS]
        trials.append(Trial("all rotations", count, float(count), rotations, taken=False))
        raw += [_outcome(each, softmax(each.scores[0])) for each in group]
        calibrated += judged[plan]
        rotated += rotations
    form = {} if prompt_digest is None else {"prompt_digest": prompt_digest}
    return Fit(
        calibration=Calibration(choices=choices, **form),
        raw=raw,
        calibrated=calibrated,
        rotated=rotated,
        trials=trials,
        unmeasured={count: len(group) for count, group in groups.items() if count not in measured},
    )


def best_plan(judged: Mapping[Plan, Sequence[Outcome]], exams: Sequence[str]) -> Plan:
    """The best plan that is better than any cheaper one beyond chance, and has no fewer right in any exam than PLAIN.

    Better: it gains in right answers or in log-likelihood more than the standard error, and loses in neither so much.
    `exams` are those of the questions.
    """
    surprises = {plan: _surprises(outcomes) for plan, outcomes in judged.items()}
    correct = {plan: np.array([float(each.right) for each in outcomes]) for plan, outcomes in judged.items()}
    plain = _rights(judged[PLAIN], exams)
    taken = PLAIN
    for again in sorted({plan.again for plan in judged}):
        for plan in sorted(
            (plan for plan in judged if plan.again == again), key=lambda each: surprises[each].mean()
        ):
            more_right = correct[plan] - correct[taken]
            gains = [_standardised(surprises[taken] - surprises[plan]), _standardised(more_right)]
            rights = _rights(judged[plan], exams)
            if max(gains) > 1 and min(gains) > -1 and all(rights[exam] >= plain[exam] for exam in plain):
                taken = plan
                break
    return taken


def _standardised(gains: np.ndarray) -> float:
    """The mean in standard errors; 0 where all are 0."""
    error = float(gains.std()) / math.sqrt(len(gains))
    mean = float(gains.mean())
    return mean / error if error else math.copysign(math.inf, mean) if mean else 0.0


def measure(questions: Sequence[Scored], plan: Plan, prior: dict[str, float]) -> Measured:
    """What suits these questions, which have one number of choices and this prior, best under a plan.

    Each order that a question was scored in counts: that is several times as much to fit to as their own orders.
    """
    turns = [turn for each in questions for turn in each.turns]
    answers = [each.answer for each in turns]
    bare = Measured(prior=prior, strength=plan.strength)
    debiased = [bare.debiased(each.scores[0], each.labels) for each in turns]
    temperature = best_temperature(debiased, answers)
    second = None
    if plan.again:
        probabilities = [softmax([score / temperature for score in row]) for row in debiased]
        margins = [_margin(each) for each in probabilities]
        margin = round(quantile(margins, plan.again), 4)
        left_open = [each for each, leaves in zip(turns, margins, strict=True) if leaves < margin]
        second = SecondOrder(
            margin=margin,
            temperature=best_temperature(
                [_both(bare, each) for each in left_open], [each.answer for each in left_open]
            ),
        )
    rotated = [each for each in questions if len(each.scores) == len(each.labels)]
    return Measured(
        prior=prior,
        strength=plan.strength,
        temperature=temperature,
        second_order=second,
        rotations_temperature=best_temperature(
            [unrotated(each.scores) for each in rotated], [each.answer for each in rotated]
        ),
    )


def by_choices(questions: Sequence[Scored]) -> dict[int, list[Scored]]:
    """The questions with each number of choices, from the smallest on."""
    groups: dict[int, list[Scored]] = defaultdict(list)
    for each in questions:
        groups[len(each.labels)].append(each)
    return dict(sorted(groups.items()))


def letter_prior(questions: Sequence[Scored]) -> dict[str, float]:
    """Each letter's probability whatever it stands for, in questions with one number of choices; they sum to 1."""
    seen: dict[str, list[float]] = defaultdict(list)
    for each in questions:
        for row in each.scores:
            for label, probability in zip(each.labels, softmax(row), strict=True):
                seen[label].append(math.log(max(probability, 1e-300)))
    means = softmax([sum(values) / len(values) for values in seen.values()])
    return dict(sorted(zip(seen, means, strict=True)))


def best_temperature(scores: Sequence[Sequence[float]], answers: Sequence[int]) -> float:
    """The temperature of least negative log-likelihood, between 0.05 and 20, to 4 digits: golden-section search.

    The likelihood has one minimum, as it is convex in the inverse of the temperature. With few questions the
    temperature is held near 1: else that of ten questions that are all right would be 0.
    """
    if not scores:
        return 1.0
    rows = np.asarray(scores) - np.max(scores, axis=1, keepdims=True)
    right = rows[np.arange(len(rows)), answers]

    def loss(log_temperature: float) -> float:
        scale = math.exp(-log_temperature)
        surprise = float((np.log(np.exp(rows * scale).sum(axis=1)) - right * scale).sum())
        return surprise + (log_temperature / _SPREAD) ** 2 / 2

    return round(math.exp(_minimum(loss, math.log(_COLDEST), math.log(_HOTTEST))), 4)


def _judged(questions: Sequence[Scored], plans: Sequence[Plan | None]) -> list[list[Outcome]]:
    """Each question under each plan, after a fit on the four other fifths; None is all rotations."""
    outcomes: list[dict[int, Outcome]] = [{} for _ in plans]
    for fold in range(FOLDS):
        others = [each for index, each in enumerate(questions) if index % FOLDS != fold]
        prior = letter_prior(others)
        for plan, found in zip(plans, outcomes, strict=True):
            measured = measure(others, plan or PLAIN, prior)
            calibration = Calibration(choices={len(others[0].labels): measured})
            for index in range(fold, len(questions), FOLDS):
                found[index] = _answered(questions[index], calibration, rotate=plan is None)
    return [[found[index] for index in range(len(questions))] for found in outcomes]


def _answered(question: Scored, calibration: Calibration, *, rotate: bool) -> Outcome:
    """The question as the service answers it."""
    if rotate:
        return _outcome(question, calibration.tempered(unrotated(question.scores)))
    first = question.scores[0]
    probabilities = calibration.apply(first, question.labels)
    if calibration.asks_again(probabilities):
        again = question.scores[len(question.labels) // 2]
        probabilities = calibration.apply_both(first, again, question.labels)
    return _outcome(question, probabilities)


def _both(measured: Measured, question: Scored) -> list[float]:
    count = len(question.labels)
    rows = [measured.debiased(question.scores[index], question.labels) for index in (0, count // 2)]
    return mean_by_choice(rows, [list(range(count)), second_order(count)])


def _outcome(question: Scored, probabilities: Sequence[float]) -> Outcome:
    return Outcome(question.labels, probabilities, question.answer, question.subject)


def _enough(groups: Sequence[Sequence[Scored]], questions: Sequence[Scored]) -> None:
    if not groups:
        raise NothingToFit(
            f"{len(questions)} questions are too few to fit a calibration: take {LEAST} of one number of choices."  # noqa: EM102
        )


def _name(plan: Plan) -> str:
    prior = {0.0: "letters as they are", 1.0: "less their prior"}.get(
        plan.strength, f"less {plan.strength:.0%} of their prior"
    )
    return f"{prior}, {plan.again:.0%} asked again" if plan.again else prior


def _rights(outcomes: Sequence[Outcome], exams: Sequence[str]) -> dict[str, int]:
    rights: dict[str, int] = defaultdict(int)
    for outcome, exam in zip(outcomes, exams, strict=True):
        rights[exam] += outcome.right
    return rights


def _surprises(outcomes: Sequence[Outcome]) -> np.ndarray:
    return -np.log([max(each.probabilities[each.answer], 1e-12) for each in outcomes])


def _margin(probabilities: Sequence[float]) -> float:
    *_, second, best = sorted(probabilities)
    return best - second


def _minimum(function: Callable[[float], float], low: float, high: float, within: float = 1e-5) -> float:
    """Where a function with one minimum has it."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > within:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2
