"""A question with a model's scores."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class ScoredQuestion:
    """A question with a model's scores, in its own order alone or in every rotation.

    `scores[r][i]` is the log-probability, up to one constant of the row, of `labels[i]` with the choices in the order
    `rotations(n)[r]`; row 0 is their own order. `answer` is the correct choice's position in that order.
    """

    labels: Sequence[str]
    scores: Sequence[Sequence[float]]
    answer: int
    subject: str | None = None
    exam: str = ""

    @property
    def reordered(self) -> list[ScoredQuestion]:
        """The question once for each order that was scored, as if that order were its own."""
        rows, count = list(self.scores), len(self.labels)
        return [
            replace(self, scores=rows[shift:] + rows[:shift], answer=(self.answer - shift) % count)
            for shift in range(len(rows))
        ]


def group_by_choices(questions: Sequence[ScoredQuestion]) -> dict[int, list[ScoredQuestion]]:
    """Group the questions by their number of choices, in ascending order."""
    groups: dict[int, list[ScoredQuestion]] = defaultdict(list)
    for each in questions:
        groups[len(each.labels)].append(each)
    return dict(sorted(groups.items()))
