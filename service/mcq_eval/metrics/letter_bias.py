"""Measure the selection bias, which is how much a model's answers depend on the letters; pure functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_eval.metrics.outcomes import Outcome


class Letter(BaseModel):
    """How often a letter was correct and how often chosen. `recall` is null if it was never correct."""

    label: str
    right: int
    chosen: int
    recall: float | None


def selection_bias(outcomes: Sequence[Outcome]) -> list[Letter]:
    """Return the selection-bias table: a row for each letter among the choices, in alphabetical order."""
    counts = confusion(outcomes)
    letters = []
    for label, row in counts.items():
        right, chosen = sum(row.values()), sum(each[label] for each in counts.values())
        recall = row[label] / right if right else None
        letters.append(Letter(label=label, right=right, chosen=chosen, recall=recall))
    return letters


def confusion(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """Count, for each correct letter, how often each letter was chosen; in alphabetical order, zeros included."""
    labels = sorted({label for each in outcomes for label in each.labels})
    counts = {right: dict.fromkeys(labels, 0) for right in labels}
    for each in outcomes:
        counts[each.labels[each.answer]][each.labels[each.chosen]] += 1
    return counts


def recall_deviation(letters: Sequence[Letter]) -> float:
    """Return the standard deviation of the letters' recalls (RStd of arXiv 2309.03882), 0 to 0.5; 0 is no bias."""
    recalls = [each.recall for each in letters if each.recall is not None]
    return float(np.std(recalls)) if recalls else math.nan
