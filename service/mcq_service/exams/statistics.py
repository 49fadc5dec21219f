"""What a set of answered questions says of who answered them: pure arithmetic over probabilities and right answers."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Z95 = 1.959963984540054
Z95_ONE_SIDED = 1.6448536269514722
_LEAST = 1e-12  # a probability that was rounded to 0 costs no more than this


@dataclass(frozen=True)
class Outcome:
    """A question as it was answered: a probability for each of `labels`, and the right one's position."""

    labels: Sequence[str]
    probabilities: Sequence[float]
    answer: int
    subject: str | None = None
    abstained: bool = False

    @property
    def chosen(self) -> int:
        """The position of the most probable choice; the first of several."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        """The probability of the choice made."""
        return max(self.probabilities)

    @property
    def right(self) -> bool:
        """Whether the most probable choice is the right one."""
        return self.chosen == self.answer


class Share(NamedTuple):
    """`right` of `total`, with the Wilson score interval (95 %)."""

    right: int
    total: int
    value: float
    low: float
    high: float


def share(right: int, total: int, *, z: float = Z95) -> Share:
    """A share and how sure it is; of nothing, nothing is known: 0 to 1, and `value` is NaN.

    The interval is that of 95 %, unless `z` is another quantile of the normal distribution.
    """
    if total == 0:
        return Share(0, 0, math.nan, 0.0, 1.0)
    value, z2 = right / total, z**2
    centre = (value + z2 / (2 * total)) / (1 + z2 / total)
    half = z / (1 + z2 / total) * math.sqrt(value * (1 - value) / total + z2 / (4 * total**2))
    low = 0.0 if right == 0 else max(0.0, centre - half)
    high = 1.0 if right == total else min(1.0, centre + half)
    return Share(right, total, value, low, high)


def accuracy(outcomes: Iterable[Outcome]) -> Share:
    """The share answered rightly, whether or not who answered abstained."""
    rights = [each.right for each in outcomes]
    return share(sum(rights), len(rights))


def brier(outcomes: Sequence[Outcome]) -> float:
    """The mean over questions of the squared errors of all choices' probabilities, summed; 0 to 2."""
    return _mean(
        sum((p - (index == each.answer)) ** 2 for index, p in enumerate(each.probabilities))
        for each in outcomes
    )


def negative_log_likelihood(outcomes: Sequence[Outcome]) -> float:
    """The mean over questions of -ln(probability of the right choice), in nats."""
    return _mean(-math.log(max(each.probabilities[each.answer], _LEAST)) for each in outcomes)


class LetterRow(NamedTuple):
    """How often a letter was right, how often it was chosen, and how often it was chosen when it was right."""

    label: str
    right: int
    chosen: int
    recalled: int

    @property
    def recall(self) -> float:
        """The share of the questions with this right answer that were answered with it; NaN where there are none."""
        return self.recalled / self.right if self.right else math.nan


def letters(outcomes: Sequence[Outcome]) -> list[LetterRow]:
    """The selection-bias table: a row for every letter that was offered, in alphabetical order."""
    counts = confusion(outcomes)
    return [
        LetterRow(label, sum(row.values()), sum(each[label] for each in counts.values()), row[label])
        for label, row in counts.items()
    ]


def confusion(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """How often, where a letter was right, each letter was chosen; both in alphabetical order, zeros included."""
    labels = sorted({label for each in outcomes for label in each.labels})
    counts = {right: dict.fromkeys(labels, 0) for right in labels}
    for each in outcomes:
        counts[each.labels[each.answer]][each.labels[each.chosen]] += 1
    return counts


def quantile(values: Sequence[float], share_below: float) -> float:
    """The value that so many are not above, interpolated between neighbours (Hyndman and Fan's type 7)."""
    return float(np.quantile(values, share_below))


def recall_deviation(rows: Sequence[LetterRow]) -> float:
    """RStd of arXiv 2309.03882: the standard deviation of the letters' recalls, 0 to 0.5; 0 is no selection bias."""
    recalls = [row.recall for row in rows if row.right]
    return float(np.std(recalls)) if recalls else math.nan


def by_subject(outcomes: Iterable[Outcome]) -> dict[str, Share]:
    """The accuracy in each subject, by its name; questions without one are not among them."""
    subjects: dict[str, list[bool]] = defaultdict(list)
    for each in outcomes:
        if each.subject is not None:
            subjects[each.subject].append(each.right)
    return {name: share(sum(rights), len(rights)) for name, rights in sorted(subjects.items())}


class Paired(NamedTuple):
    """Two results on the same questions; `p_value` is that of McNemar's exact test, two-sided."""

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p_value: float


def paired(first: Mapping[str, bool], second: Mapping[str, bool]) -> Paired:
    """Compare what was right in two results, by question; a question that only one of them has does not count."""
    table = {(a, b): 0 for a in (True, False) for b in (True, False)}
    for key in first.keys() & second.keys():
        table[first[key], second[key]] += 1
    only_first, only_second = table[True, False], table[False, True]
    return Paired(
        both_right=table[True, True],
        only_first=only_first,
        only_second=only_second,
        both_wrong=table[False, False],
        p_value=mcnemar(only_first, only_second),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """The probability of discordant pairs divided at least this unevenly if neither is better: binomial, two-sided."""
    count = only_first + only_second
    tail = ways = 1  # math.comb(count, k), each from the one before: by itself each takes as long as all
    for k in range(min(only_first, only_second)):
        ways = ways * (count - k) // (k + 1)
        tail += ways
    return min(1.0, float(2 * tail / 2**count))


def regression(only_before: float, only_now: float, total: float) -> tuple[float, float]:
    """The loss of accuracy, at least and at most; each end is one-sided, 95 %."""
    return (
        least_difference(only_now, only_before, total),
        -least_difference(only_before, only_now, total),
    )


def least_difference(only_first: float, only_second: float, total: float) -> float:
    """How much more often than the first the second is right, at least: -1 to 1, negative where it may be worse.

    The lower end of Tango's score interval for the difference of paired proportions, one-sided, 95 % (Statistics in
    Medicine 17:891-908, 1998). Unlike an interval by the normal distribution it holds where few pairs or none differ.
    The counts may be those that are expected of an exam yet to be sat, so they need not be whole.
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
    """The score statistic for a true `difference` of second and first, its variance under that very hypothesis."""
    # Tango's q21 by the quadratic of his equation, with second and first in the places of his two procedures.
    b = -only_first - only_second + (2 * total - only_second + only_first) * difference
    c = -only_first * difference * (1 - difference)
    likely = (math.sqrt(max(b * b - 8 * total * c, 0.0)) - b) / (4 * total)
    variance = total * (2 * likely + difference * (1 - difference))
    distance = only_second - only_first - total * difference
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else math.nan
