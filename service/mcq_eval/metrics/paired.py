"""Compare two results on the same questions; pure functions."""

from __future__ import annotations

import math
from statistics import NormalDist

from scipy.stats import binomtest

Z95_ONE_SIDED = NormalDist().inv_cdf(0.95)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the probability of a split of the discordant pairs at least this uneven, if neither result is better.

    It is the exact binomial test, two-sided.
    """
    count = only_first + only_second
    return float(binomtest(only_first, count).pvalue) if count else 1.0


def regression(only_before: float, only_now: float, total: float) -> tuple[float, float]:
    """Return the loss of accuracy: its low and high end, each one-sided, 95 %."""
    return (
        min_difference(only_now, only_before, total),
        -min_difference(only_before, only_now, total),
    )


def min_difference(only_first: float, only_second: float, total: float) -> float:
    """Return the least gain in accuracy from the first result to the second, -1 to 1; negative if it may be a loss.

    It is the lower end of Tango's score interval for the difference of paired proportions, one-sided, 95 % (Statistics
    in Medicine 17:891-908, 1998). Unlike an interval by the normal distribution it holds if few or no pairs differ.
    The counts need not be whole: they may be the expected ones of a future exam.
    """
    low, high = -1.0, (only_second - only_first) / total
    for _ in range(60):
        middle = (low + high) / 2
        if _tango(only_first, only_second, total, middle) > Z95_ONE_SIDED:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _tango(only_first: float, only_second: float, total: float, difference: float) -> float:
    """Return the score statistic for a true `difference` of second and first, with the variance if it is true."""
    # Tango's q21 by the quadratic of his equation, with second and first in the places of his two procedures.
    b = -only_first - only_second + (2 * total - only_second + only_first) * difference
    c = -only_first * difference * (1 - difference)
    likely = (math.sqrt(max(b * b - 8 * total * c, 0.0)) - b) / (4 * total)
    variance = total * (2 * likely + difference * (1 - difference))
    distance = only_second - only_first - total * difference
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)
