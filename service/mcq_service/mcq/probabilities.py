"""Probabilities of choices from the scores of letters, and figures of them; pure functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def softmax(scores: Sequence[float]) -> list[float]:
    """Return probabilities in proportion to exp(score); they sum to 1."""
    normaliser = _log_sum_exp(scores)
    return [math.exp(score - normaliser) for score in scores]


def _log_sum_exp(scores: Sequence[float]) -> float:
    largest = max(scores)
    return largest + math.log(sum(math.exp(score - largest) for score in scores))
