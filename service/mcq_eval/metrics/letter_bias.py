"""Measure the selection bias, which is how much a model's answers depend on the letters; pure functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_eval.metrics.outcomes import Outcome


class LetterRow(NamedTuple):
    """How often a letter was correct, how often it was chosen, and how often it was chosen when correct."""

    label: str
    right: int
    chosen: int
    recalled: int

    @property
    def recall(self) -> float:
        """The share of the questions with this correct letter that were answered with it; NaN without any."""
        return self.recalled / self.right if self.right else math.nan


def letter_rows(outcomes: Sequence[Outcome]) -> list[LetterRow]:
    """Return the selection-bias table: a row for each letter among the choices, in alphabetical order."""
    counts = confusion(outcomes)
    return [
        LetterRow(label, sum(row.values()), sum(each[label] for each in counts.values()), row[label])
        for label, row in counts.items()
    ]


def confusion(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """Count, for each correct letter, how often each letter was chosen; in alphabetical order, zeros included."""
    labels = sorted({label for each in outcomes for label in each.labels})
    counts = {right: dict.fromkeys(labels, 0) for right in labels}
    for each in outcomes:
        counts[each.labels[each.answer]][each.labels[each.chosen]] += 1
    return counts


def recall_deviation(rows: Sequence[LetterRow]) -> float:
    """Return the standard deviation of the letters' recalls (RStd of arXiv 2309.03882), 0 to 0.5; 0 is no bias."""
    recalls = [row.recall for row in rows if row.right]
    return float(np.std(recalls)) if recalls else math.nan
