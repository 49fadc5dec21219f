"""Answered questions, and their accuracy and confidence; pure functions."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel
from scipy.stats import binomtest

from mcq_service.mcq.probabilities import expected_level

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ONE_SIDED = 0.9
"""The confidence of a two-sided interval; each end alone holds with 95 %."""
QuestionType = Literal["choice", "predicate", "score"]
_MIN_PROBABILITY = 1e-12  # limits the loss of a probability that was rounded to 0


@dataclass(frozen=True)
class Outcome:
    """An answered question: a probability for each of `labels`, and the position of the correct one."""

    labels: Sequence[str]
    probabilities: Sequence[float]
    answer: int
    subject: str | None = None
    abstained: bool = False
    type: QuestionType = "choice"

    @property
    def chosen(self) -> int:
        """The position of the most probable choice; the first of several."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        """The probability of the most probable choice."""
        return max(self.probabilities)

    @property
    def right(self) -> bool:
        """True if the most probable choice is the correct one."""
        return self.chosen == self.answer


class Proportion(BaseModel):
    """A share: `right` of `total`. `ci95` is the Wilson score interval. `value` is null for a total of 0."""

    right: int
    total: int
    value: float | None
    ci95: tuple[float, float]

    @classmethod
    def of(cls, rights: Sequence[bool]) -> Self:
        """Return the share of True."""
        right, total = sum(rights), len(rights)
        value = right / total if total else None
        return cls(right=right, total=total, value=value, ci95=wilson_interval(right, total))


def wilson_interval(right: int, total: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the low and high end of a share's interval; 0 and 1 for a total of 0."""
    if total == 0:
        return 0.0, 1.0
    interval = binomtest(right, total).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def accuracy(outcomes: Iterable[Outcome]) -> Proportion:
    """Return the share of right answers, abstentions included."""
    return Proportion.of([each.right for each in outcomes])


def accuracy_by_subject(outcomes: Iterable[Outcome]) -> dict[str, Proportion]:
    """Return the accuracy in each subject, by its name. Questions without a subject are left out."""
    subjects: dict[str, list[bool]] = defaultdict(list)
    for each in outcomes:
        if each.subject is not None:
            subjects[each.subject].append(each.right)
    return {name: Proportion.of(rights) for name, rights in sorted(subjects.items())}


def brier(outcomes: Sequence[Outcome]) -> float:
    """Return the mean over questions of the summed squared errors of all choices' probabilities, 0 to 2."""
    return _mean(
        sum((p - (index == each.answer)) ** 2 for index, p in enumerate(each.probabilities))
        for each in outcomes
    )


def level_error(outcomes: Iterable[Outcome]) -> float | None:
    """Return the mean distance, in levels, of the expected level from the correct one; None without a score."""
    scores = [each for each in outcomes if each.type == "score"]
    return _mean(abs(expected_level(each.probabilities) - each.answer) for each in scores) if scores else None


def negative_log_likelihood(outcomes: Sequence[Outcome]) -> float:
    """Return the mean over questions of -ln(probability of the correct choice), in nats."""
    return _mean(-math.log(max(each.probabilities[each.answer], _MIN_PROBABILITY)) for each in outcomes)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else math.nan
