"""Estimate the parameters of a calibration: prior, temperatures, margin; pure functions."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar

from mcq_service.mcq.calibration import ChoicesCalibration, SecondOrder, second_order
from mcq_service.mcq.probabilities import mean_by_choice, rotations, softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_eval.calibration_fit.plans import Plan
    from mcq_eval.calibration_fit.scored_question import ScoredQuestion

_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.05, 20.0
_SPREAD = 0.5
"""The scale of the penalty on a temperature's logarithm: with few questions, the logarithm stays this close to 0."""


def fit_plan(questions: Sequence[ScoredQuestion], plan: Plan, prior: dict[str, float]) -> ChoicesCalibration:
    """Fit the calibration of questions with one number of choices and this prior, under a plan.

    Each scored order of a question counts as a question: that gives several times as much data.
    """
    reordered = [each for question in questions for each in question.reordered]
    answers = [each.answer for each in reordered]
    prior_only = ChoicesCalibration(prior=prior, strength=plan.strength)
    debiased = [prior_only.without_prior(each.scores[0], each.labels) for each in reordered]
    temperature = best_temperature(debiased, answers)
    second = None
    if plan.second_order:
        probabilities = [softmax([score / temperature for score in row]) for row in debiased]
        margins = [_margin(each) for each in probabilities]
        margin = round(float(np.quantile(margins, plan.second_order)), 4)
        undecided = [each for each, own in zip(reordered, margins, strict=True) if own < margin]
        second = SecondOrder(
            margin=margin,
            temperature=best_temperature(
                [_mean_of_both_orders(prior_only, each) for each in undecided],
                [each.answer for each in undecided],
            ),
        )
    rotated = [each for each in questions if len(each.scores) == len(each.labels)]
    return ChoicesCalibration(
        prior=prior,
        strength=plan.strength,
        temperature=temperature,
        second_order=second,
        rotations_temperature=best_temperature(
            [mean_by_choice(each.scores, rotations(len(each.scores))) for each in rotated],
            [each.answer for each in rotated],
        ),
    )


def letter_prior(questions: Sequence[ScoredQuestion]) -> dict[str, float]:
    """Return each letter's probability for any choice, in questions with one number of choices; they sum to 1."""
    values_of: dict[str, list[float]] = defaultdict(list)
    for each in questions:
        for row in each.scores:
            for label, probability in zip(each.labels, softmax(row), strict=True):
                values_of[label].append(math.log(max(probability, 1e-300)))
    means = softmax([sum(values) / len(values) for values in values_of.values()])
    return dict(sorted(zip(values_of, means, strict=True)))


def best_temperature(scores: Sequence[Sequence[float]], answers: Sequence[int]) -> float:
    """Return the temperature of the lowest negative log-likelihood, from 0.05 to 20, to 4 digits.

    It has one minimum, because it is convex in the inverse of the temperature. A penalty holds the temperature near 1
    if there are few questions: ten questions that are all right would otherwise give 0.
    """
    if not scores:
        return 1.0
    rows = np.asarray(scores) - np.max(scores, axis=1, keepdims=True)
    right = rows[np.arange(len(rows)), answers]

    def loss(log_temperature: float) -> float:
        scale = math.exp(-log_temperature)
        log_loss = float((np.log(np.exp(rows * scale).sum(axis=1)) - right * scale).sum())
        return log_loss + (log_temperature / _SPREAD) ** 2 / 2

    bounds = (math.log(_MIN_TEMPERATURE), math.log(_MAX_TEMPERATURE))
    minimum = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    return round(math.exp(minimum.x), 4)


def _mean_of_both_orders(calibration: ChoicesCalibration, question: ScoredQuestion) -> list[float]:
    count = len(question.labels)
    rows = [calibration.without_prior(question.scores[index], question.labels) for index in (0, count // 2)]
    return mean_by_choice(rows, [list(range(count)), second_order(count)])


def _margin(probabilities: Sequence[float]) -> float:
    *_, second, best = sorted(probabilities)
    return best - second
