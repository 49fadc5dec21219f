"""Measure how far confidence is from accuracy; pure functions.

**Calibration error (ECE)**: put the confidences, the probabilities of the chosen answers, into bins; in each, compare
the share of right answers with the mean confidence; average the differences, weighted by the bins' counts. *The* ECE
in a report has 15 bins of equal width, as in Guo et al. (arXiv 1706.04599), because published figures and thresholds
are of that kind. A report has bins of equal mass, too, which do not depend on where a few questions fall. Both are
above zero even for a perfectly calibrated model, and grow when there are fewer questions. `chance_ece` says how far
above, and `max_ece` bounds the error that infinitely many such questions would have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel

from mcq_eval.metrics.outcomes import Proportion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_eval.metrics.outcomes import Outcome

BINS = 15
_DRAWS = 1000  # of a simulation
Binning = Literal["equal-width", "equal-mass"]


def ece(outcomes: Sequence[Outcome], *, binning: Binning = "equal-width", bins: int = BINS) -> float:
    """Return the expected calibration error of the chosen answers of at least one question, 0 to 1."""
    confidences, rights = _arrays(outcomes)
    return _gap(rights, confidences, _bin_of(confidences, binning, bins))


def chance_ece(outcomes: Sequence[Outcome], *, binning: Binning = "equal-width") -> float:
    """Return the mean ECE of these questions if each confidence were exactly the probability of being right.

    It is a simulation with a fixed seed: the same outcomes always give the same figure.
    """
    confidences = np.array([each.confidence for each in outcomes])
    generator, bin_of = np.random.default_rng(0), _bin_of(confidences, binning, BINS)
    # One draw at a time: all of them would take 16 KiB for each question.
    draws = ((generator.random(len(confidences)) < confidences).astype(float) for _ in range(_DRAWS))
    return float(np.mean([_gap(rights, confidences, bin_of) for rights in draws]))


def max_ece(outcomes: Sequence[Outcome], *, binning: Binning = "equal-width", draws: int = _DRAWS) -> float:
    """Return the upper end of the calibration error's interval, one-sided, 95 %.

    It simulates, with a fixed seed, the bins' accuracies on infinitely many such questions. For each bin it draws a
    low and a high accuracy, from the beta distributions that have the ends of Clopper and Pearson's intervals as
    quantiles, and takes the one that is farther from the confidence. So the bound also holds for bins in which all
    answers are right; a bootstrap sees no spread there. The bound errs upwards, by about 0.02 with 5,000 questions.
    """
    confidences, rights = _arrays(outcomes)
    members = np.eye(BINS)[_bin_of(confidences, binning, BINS)]
    members = members[:, members.any(axis=0)]
    totals, right = members.sum(axis=0), rights @ members
    wrong, means = totals - right, confidences @ members / totals
    generator, shape = np.random.default_rng(0), (draws, len(totals))
    low = np.where(right > 0, generator.beta(np.maximum(right, 1), wrong + 1, shape), 0)
    high = np.where(wrong > 0, generator.beta(right + 1, np.maximum(wrong, 1), shape), 1)
    errors = np.maximum(means - low, high - means) @ totals / len(outcomes)
    return float(np.quantile(errors, 0.95))


def _arrays(outcomes: Sequence[Outcome]) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidences, and 1 for a right answer, 0 for a wrong one."""
    return (
        np.array([each.confidence for each in outcomes]),
        np.array([each.right for each in outcomes], dtype=float),
    )


def _bin_of(confidences: np.ndarray, binning: Binning, bins: int) -> np.ndarray:
    """Return the bin of each question, shape (n,). Bins of equal width are open below and closed above."""
    if binning == "equal-width":
        widths: np.ndarray = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)
        return widths
    ranks = np.argsort(np.argsort(confidences, kind="stable"), kind="stable")
    masses: np.ndarray = ranks * min(bins, len(ranks)) // len(ranks)
    return masses


def _gap(rights: np.ndarray, confidences: np.ndarray, bin_of: np.ndarray) -> float:
    """Return the sum over bins of |rights - confidences| / n."""
    sums = np.bincount(bin_of, weights=rights - confidences)
    return float(np.abs(sums).sum() / len(confidences))


class Bin(BaseModel):
    """The questions with a confidence above `low` and at most `high`; `confidence` is the mean."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: Proportion


def reliability(outcomes: Sequence[Outcome]) -> list[Bin]:
    """Return the non-empty bins of equal width of the calibration error."""
    confidences, rights = _arrays(outcomes)
    bin_of = _bin_of(confidences, "equal-width", BINS)
    return [
        Bin(
            low=index / BINS,
            high=(index + 1) / BINS,
            count=members.sum(),
            confidence=confidences[members].mean(),
            accuracy=Proportion.of(rights[members].astype(bool).tolist()),
        )
        for index in range(BINS)
        if (members := bin_of == index).any()
    ]
