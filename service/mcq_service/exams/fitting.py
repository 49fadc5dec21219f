"""Fit a calibration to a model's scores of questions whose answers are known: pure arithmetic.

First the letters' prior for each number of choices (PriDe, arXiv 2309.03882): over all rotations of a question's
choices each letter stands for each choice once, so what remains in the mean log-probability of a letter is the
letter's own. Then the temperatures, each the one of least negative log-likelihood.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcq_service.answering.calibration import Calibration
from mcq_service.answering.deciding import softmax, unrotated
from mcq_service.exams.errors import NothingToFit
from mcq_service.exams.statistics import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FOLDS = 5
_COLDEST, _HOTTEST = 0.05, 20.0
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Scored:
    """A question as a model scored it in every rotation.

    `scores[r][i]` is the log-probability, up to one constant of the row, of `labels[i]` when the choices are offered
    in the order `rotations(n)[r]`; row 0 is their own order. `answer` is the right choice's position in that order.
    """

    labels: Sequence[str]
    scores: Sequence[Sequence[float]]
    answer: int
    subject: str | None = None


@dataclass(frozen=True)
class Fit:
    """A calibration, and what it does to questions that it was not fitted on.

    `raw` are the questions as the model scores them; `calibrated` and `rotated` as they are after a calibration
    fitted on the four other fifths, by prior and by rotations: an honest estimate for new questions.
    """

    calibration: Calibration
    raw: list[Outcome]
    calibrated: list[Outcome]
    rotated: list[Outcome]


def fit(questions: Sequence[Scored]) -> Fit:
    """Fit, and estimate by cross-validation. Raises NothingToFit where there are fewer than ten questions."""
    if len(questions) < 2 * FOLDS:
        raise NothingToFit(f"{len(questions)} questions are too few to fit a calibration: take {2 * FOLDS}.")  # noqa: EM102
    identity = Calibration()
    calibrated: dict[int, Outcome] = {}
    rotated: dict[int, Outcome] = {}
    for fold in range(FOLDS):
        others = [each for index, each in enumerate(questions) if index % FOLDS != fold]
        held_out = calibration(others)
        for index in range(fold, len(questions), FOLDS):
            calibrated[index] = by_prior(questions[index], held_out)
            rotated[index] = by_rotations(questions[index], held_out)
    return Fit(
        calibration=calibration(questions),
        raw=[by_prior(each, identity) for each in questions],
        calibrated=[calibrated[index] for index in range(len(questions))],
        rotated=[rotated[index] for index in range(len(questions))],
    )


def calibration(questions: Sequence[Scored]) -> Calibration:
    """The calibration that suits these questions best."""
    prior = letter_prior(questions)
    unbiased = Calibration(prior=prior)
    debiased = [_minus(each.scores[0], unbiased.log_prior(each.labels)) for each in questions]
    means = [unrotated(each.scores) for each in questions]
    answers = [each.answer for each in questions]
    return Calibration(
        prior=prior,
        temperature=best_temperature(debiased, answers),
        rotations_temperature=best_temperature(means, answers),
    )


def letter_prior(questions: Sequence[Scored]) -> dict[int, dict[str, float]]:
    """For each number of choices, each letter's probability whatever it stands for; they sum to 1."""
    seen: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for each in questions:
        for row in each.scores:
            for label, probability in zip(each.labels, softmax(row), strict=True):
                seen[len(each.labels)][label].append(math.log(max(probability, 1e-300)))
    priors = {}
    for count, logs in sorted(seen.items()):
        means = [sum(values) / len(values) for values in logs.values()]
        priors[count] = dict(sorted(zip(logs, softmax(means), strict=True)))
    return priors


def best_temperature(scores: Sequence[Sequence[float]], answers: Sequence[int]) -> float:
    """The temperature of least negative log-likelihood, between 0.05 and 20, to 4 digits: golden-section search.

    The likelihood has one minimum, as it is convex in the inverse of the temperature.
    """

    def loss(log_temperature: float) -> float:
        scale = math.exp(-log_temperature)
        return sum(_surprise(row, answer, scale) for row, answer in zip(scores, answers, strict=True))

    return round(math.exp(_minimum(loss, math.log(_COLDEST), math.log(_HOTTEST))), 4)


def by_prior(question: Scored, calibration_: Calibration) -> Outcome:
    """The question as it is answered in its own order."""
    return _outcome(question, calibration_.apply(question.scores[0], question.labels))


def by_rotations(question: Scored, calibration_: Calibration) -> Outcome:
    """The question as it is answered in all rotations."""
    return _outcome(question, calibration_.tempered(unrotated(question.scores)))


def _outcome(question: Scored, probabilities: Sequence[float]) -> Outcome:
    return Outcome(question.labels, probabilities, question.answer, question.subject)


def _surprise(scores: Sequence[float], answer: int, scale: float) -> float:
    largest = max(scores)
    return (
        math.log(sum(math.exp((each - largest) * scale) for each in scores))
        - (scores[answer] - largest) * scale
    )


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


def _minus(scores: Sequence[float], prior: Sequence[float]) -> list[float]:
    return [score - each for score, each in zip(scores, prior, strict=True)]
