"""From letters' scores to a decision: pure arithmetic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from mcq_service.api.mcq.schemas import Choice, LabelProbability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_service.api.mcq.schemas import Option


class Decided(NamedTuple):
    """What a decision says of the choices; `best` is the index of the most probable."""

    best: int
    answer: Choice | None
    confidence: float
    margin: float
    abstained: bool
    probabilities: list[LabelProbability]


def decide(options: Sequence[Option], probabilities: Sequence[float], *, min_confidence: float) -> Decided:
    """The most probable choice, or none where that is less probable than `min_confidence`."""
    best = max(range(len(options)), key=probabilities.__getitem__)
    confidence, second, *_ = sorted(probabilities, reverse=True)
    label, text = options[best]
    abstained = confidence < min_confidence
    return Decided(
        best=best,
        answer=None if abstained else Choice(label=label, index=best, text=text),
        confidence=confidence,
        margin=confidence - second,
        abstained=abstained,
        probabilities=[
            LabelProbability(label=option.label, probability=probability)
            for option, probability in zip(options, probabilities, strict=True)
        ],
    )


def rotations(count: int) -> list[list[int]]:
    """The cyclic orders of so many choices: in each, every choice has another letter; the first is their own order."""
    return [[(index + shift) % count for index in range(count)] for shift in range(count)]


def mean_by_choice(scores: Sequence[Sequence[float]], orders: Sequence[Sequence[int]]) -> list[float]:
    """Each choice's mean log-probability over several orders.

    `scores[i][letter]` are log-probabilities, up to a constant, of the choices in `orders[i]`.
    """
    means = [0.0] * len(orders[0])
    for order, row in zip(orders, scores, strict=True):
        normaliser = _log_sum_exp(row)
        for letter, choice in enumerate(order):
            means[choice] += (row[letter] - normaliser) / len(orders)
    return means


def unrotated(scores: Sequence[Sequence[float]]) -> list[float]:
    """Each choice's mean log-probability over all rotations, for which each letter was its once.

    `scores[r][letter]` are log-probabilities, up to a constant, of the order `rotations(n)[r]`.
    """
    return mean_by_choice(scores, rotations(len(scores)))


def softmax(scores: Sequence[float]) -> list[float]:
    """Probabilities in proportion to exp(score); they sum to 1."""
    normaliser = _log_sum_exp(scores)
    return [math.exp(score - normaliser) for score in scores]


def _log_sum_exp(scores: Sequence[float]) -> float:
    largest = max(scores)
    return largest + math.log(sum(math.exp(score - largest) for score in scores))
