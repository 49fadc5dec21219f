"""Compare a result with an earlier one, question by question."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pydantic import BaseModel

from mcq_eval.errors import ResultUnreadable
from mcq_eval.metrics.paired import mcnemar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_eval.report.rows import Failure, Row


class Discordant(BaseModel):
    """A question that only one of two results has right: the correct letter and the chosen ones; null: unanswered."""

    id: str
    answer: str
    before: str
    now: str | None


class Comparison(BaseModel):
    """This result beside an earlier one, on the questions that both asked and the earlier one answered.

    `unanswered` of them have no answer now, which counts as wrong. `p_value` is of McNemar's exact test, two-sided.
    """

    questions: int
    unanswered: int
    both_right: int
    only_before: int
    only_now: int
    both_wrong: int
    p_value: float
    discordant: list[Discordant]


def compare(before: Sequence[Row], now: Sequence[Row], unanswered: Sequence[Failure] = ()) -> Comparison:
    """Compare two results; `unanswered` questions are wrong now.

    Questions without an answer in the earlier result are left out: they would make a worse result look better. So are
    questions whose correct answer was changed since. Raises ResultUnreadable if no question is in both results.
    """
    rows = {row.digest: row for row in now}
    missing = {each.digest for each in unanswered} - rows.keys()
    both = [(old, rows.get(old.digest)) for old in before if old.digest in rows or old.digest in missing]
    if not both:
        raise ResultUnreadable("The two results have no question in common.")
    right = {old.digest: new is not None and new.outcome.right for old, new in both}
    right_before = {old.digest: old.outcome.right for old, _ in both}
    counts = Counter((right_before[question], right[question]) for question in right)
    only_before, only_now = counts[True, False], counts[False, True]
    return Comparison(
        questions=len(right),
        unanswered=len(missing & right.keys()),
        both_right=counts[True, True],
        only_before=only_before,
        only_now=only_now,
        both_wrong=counts[False, False],
        p_value=mcnemar(only_before, only_now),
        discordant=[
            Discordant(
                id=(new or old).id,
                answer=(new or old).answer,
                before=old.chosen,
                now=new.chosen if new else None,
            )
            for old, new in both
            if old.outcome.right != right[old.digest]
        ],
    )
