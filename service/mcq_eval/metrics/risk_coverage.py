"""Measure the accuracy of a model that abstains below a minimum confidence; pure functions.

**Risk-coverage curve**: for several minimum confidences, the share of the questions that the model would still answer
(coverage), and the share of right answers among them (selective accuracy; its risk is 1 less that).

A minimum confidence that is chosen because these questions favour it promises too much: on other questions the
accuracy is lower. So each point's interval holds for all points at once, and any of them may be chosen afterwards, by
any rule. This is *learn then test* (arXiv 2110.01052) with a Bonferroni correction: the coverages are fixed
beforehand, and each end of an interval is Clopper and Pearson's exact one at a 20th of 5 %. The minimum confidence of
a coverage depends on the confidences alone: it is just above the most confident question that the point leaves out.
Given that confidence, the questions above it are independent draws, so the number of right answers is binomial, and
the bound is exact.

*Selection with guaranteed risk* (arXiv 1705.08500) needs a correction for about 8 points instead of 20. It was not
taken, because its binary search looks at the right answers to choose the next point, which the correction leaves out,
and because it gives one minimum confidence for one target accuracy. Tests in a fixed sequence, from the greatest
confidence down, need no correction, but a single wrong answer among the first thirty ends them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import BaseModel
from scipy.special import betaincinv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_eval.metrics.outcomes import Outcome

POINTS = 20
"""The most points of a curve: coverages of 5 %, 10 % and so on."""
TARGETS = (0.7, 0.8, 0.9, 0.95)
"""The accuracies that a report looks up on its curve."""
_ERROR = 0.05  # the probability that any low end is too high; the same for the high ends
_STEPS = 10_000  # minimum confidences have four decimals


class CoveragePoint(BaseModel):
    """The questions with a confidence of at least `min_confidence`: `coverage` is their share of all.

    `accuracy` is of `right` in `total`. Each end of `interval` holds for all points of the curve at once, with 95 %.
    """

    min_confidence: float
    coverage: float
    right: int
    total: int
    accuracy: float
    interval: tuple[float, float]


def risk_coverage(outcomes: Sequence[Outcome]) -> list[CoveragePoint]:
    """Return the curve, from all questions to the most confident ones. Questions of equal confidence stay together."""
    confidences = sorted((each.confidence for each in outcomes), reverse=True)
    points: list[CoveragePoint] = []
    for step in range(POINTS, 0, -1):
        count = math.ceil(len(confidences) * step / POINTS)
        least = _just_above(confidences[count]) if count < len(confidences) else 0.0
        answered = [each.right for each in outcomes if each.confidence >= least]
        if answered and (not points or least > points[-1].min_confidence):
            points.append(_point(least, sum(answered), len(answered), len(outcomes)))
    return points


def threshold(curve: Sequence[CoveragePoint], target: float) -> CoveragePoint | None:
    """Return the point of greatest coverage with an accuracy of at least `target`, with 95 %; None if no point has."""
    reaching = (each for each in curve if each.interval[0] >= target)
    return max(reaching, key=lambda each: each.coverage, default=None)


def _just_above(confidence: float) -> float:
    return (math.floor(confidence * _STEPS) + 1) / _STEPS


def _point(least: float, right: int, total: int, asked: int) -> CoveragePoint:
    # Clopper and Pearson's ends are quantiles of beta distributions; scipy's binomtest takes a hundred times as long.
    error = _ERROR / POINTS
    low = float(betaincinv(right, total - right + 1, error)) if right else 0.0
    high = float(betaincinv(right + 1, total - right, 1 - error)) if right < total else 1.0
    return CoveragePoint(
        min_confidence=least,
        coverage=total / asked,
        right=right,
        total=total,
        accuracy=right / total,
        interval=(low, high),
    )
