"""Compute the decision from the scores of the letters; pure functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from mcq_service.api.mcq.answer_schemas import Choice, LabelProbability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_service.api.mcq.question_schemas import Option


class Selection(NamedTuple):
    """The selected choice, or an abstention. `best` is the index of the most probable choice."""

    best: int
    answer: Choice | None
    confidence: float
    margin: float
    abstained: bool
    probabilities: list[LabelProbability]


def decide(
    options: Sequence[Option],
    probabilities: Sequence[float],
    *,
    min_confidence: float,
    way_out: bool = False,
) -> Selection:
    """Select the most probable choice, or abstain if its probability is below `min_confidence`.

    With `way_out`, the last option says that no choice is right; there is no answer if it is the most probable.
    """
    best = max(range(len(options)), key=probabilities.__getitem__)
    confidence, second, *_ = sorted(probabilities, reverse=True)
    label, text = options[best]
    abstained = confidence < min_confidence
    return Selection(
        best=best,
        answer=None
        if abstained or (way_out and best == len(options) - 1)
        else Choice(label=label, index=best, text=text),
        confidence=confidence,
        margin=confidence - second,
        abstained=abstained,
        probabilities=_labelled(options, probabilities),
    )


class Judgement(NamedTuple):
    """The choices that are more probably right than wrong, or an abstention, from judging each by itself."""

    selected: list[Choice]
    confidence: float
    margin: float
    abstained: bool
    probabilities: list[LabelProbability]


def judge(options: Sequence[Option], probabilities: Sequence[float], *, min_confidence: float) -> Judgement:
    """Select every choice that is probably right; abstain if one of them is decided below `min_confidence`."""
    confidence = min(max(probability, 1 - probability) for probability in probabilities)
    abstained = confidence < min_confidence
    return Judgement(
        selected=[
            Choice(label=option.label, index=index, text=option.text)
            for index, (option, probability) in enumerate(zip(options, probabilities, strict=True))
            if probability > 1 / 2 and not abstained
        ],
        confidence=confidence,
        margin=2 * confidence - 1,
        abstained=abstained,
        probabilities=_labelled(options, probabilities),
    )


def _labelled(options: Sequence[Option], probabilities: Sequence[float]) -> list[LabelProbability]:
    return [
        LabelProbability(label=option.label, probability=probability)
        for option, probability in zip(options, probabilities, strict=True)
    ]


def certainty(probabilities: Sequence[float]) -> float:
    """Return how far the largest probability is above an even share, from 0 to 1: (K p - 1) / (K - 1)."""
    count = len(probabilities)
    return 1.0 if count == 1 else max(0.0, (count * max(probabilities) - 1) / (count - 1))


def expected_level(probabilities: Sequence[float]) -> float:
    """Return the mean level, weighted by probability; the first level is 0."""
    return sum(level * probability for level, probability in enumerate(probabilities))


def rotations(count: int) -> list[list[int]]:
    """Return the cyclic orders of `count` choices, their own first. Each order gives every choice another letter."""
    return [[(index + shift) % count for index in range(count)] for shift in range(count)]


def mean_by_choice(scores: Sequence[Sequence[float]], orders: Sequence[Sequence[int]]) -> list[float]:
    """Return each choice's mean log-probability over several orders.

    `scores[i][letter]` are the log-probabilities, up to a constant, of the choices in `orders[i]`.
    """
    means = [0.0] * len(orders[0])
    for order, row in zip(orders, scores, strict=True):
        normaliser = _log_sum_exp(row)
        for letter, choice in enumerate(order):
            means[choice] += (row[letter] - normaliser) / len(orders)
    return means


def mean_over_rotations(scores: Sequence[Sequence[float]]) -> list[float]:
    """Return each choice's mean log-probability over all rotations; each choice has each letter once.

    `scores[r][letter]` are the log-probabilities, up to a constant, of the choices in the order `rotations(n)[r]`.
    """
    return mean_by_choice(scores, rotations(len(scores)))


def softmax(scores: Sequence[float]) -> list[float]:
    """Return probabilities in proportion to exp(score); they sum to 1."""
    normaliser = _log_sum_exp(scores)
    return [math.exp(score - normaliser) for score in scores]


def _log_sum_exp(scores: Sequence[float]) -> float:
    largest = max(scores)
    return largest + math.log(sum(math.exp(score - largest) for score in scores))
