"""Plans for answering questions, and the choice of the best one; pure functions."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcq_eval.metrics.outcomes import Outcome


class Plan(NamedTuple):
    """How to answer questions: the share of the prior to remove, and the share of questions in a second order."""

    strength: float = 0.0
    second_order: float = 0.0

    @property
    def prompts(self) -> float:
        """The mean number of prompts for a question."""
        return 1 + self.second_order

    @property
    def description(self) -> str:
        """The plan in words."""
        prior = {0.0: "letters as they are", 1.0: "less their prior"}.get(
            self.strength, f"less {self.strength:.0%} of their prior"
        )
        return f"{prior}, {self.second_order:.0%} asked again" if self.second_order else prior


PLAIN = Plan()
PLANS = tuple(
    Plan(strength, second_order) for second_order in (0.0, 0.2, 0.4) for strength in (0.0, 0.5, 1.0)
)
"""The candidates."""


def best_plan(outcomes: Mapping[Plan, Sequence[Outcome]], exams: Sequence[str]) -> Plan:
    """Return the best plan that beats the cheaper ones beyond chance, and has no fewer right than PLAIN in any exam.

    A plan beats another if it gains more than the standard error in right answers or in log-likelihood, and does not
    lose as much in the other. `exams` are the exams of the questions.
    """
    losses = {plan: _log_losses(each) for plan, each in outcomes.items()}
    correct = {plan: np.array([float(each.right) for each in of_plan]) for plan, of_plan in outcomes.items()}
    plain = _right_by_exam(outcomes[PLAIN], exams)
    taken = PLAIN
    for second_order in sorted({plan.second_order for plan in outcomes}):
        for plan in sorted(
            (plan for plan in outcomes if plan.second_order == second_order),
            key=lambda each: losses[each].mean(),
        ):
            more_right = correct[plan] - correct[taken]
            gains = [_standardised(losses[taken] - losses[plan]), _standardised(more_right)]
            right = _right_by_exam(outcomes[plan], exams)
            if max(gains) > 1 and min(gains) > -1 and all(right[exam] >= plain[exam] for exam in plain):
                taken = plan
                break
    return taken


def _standardised(gains: np.ndarray) -> float:
    """Return the mean in standard errors; 0 if all gains are 0."""
    error = float(gains.std()) / math.sqrt(len(gains))
    mean = float(gains.mean())
    return mean / error if error else math.copysign(math.inf, mean) if mean else 0.0


def _right_by_exam(outcomes: Sequence[Outcome], exams: Sequence[str]) -> dict[str, int]:
    right: dict[str, int] = defaultdict(int)
    for outcome, exam in zip(outcomes, exams, strict=True):
        right[exam] += outcome.right
    return right


def _log_losses(outcomes: Sequence[Outcome]) -> np.ndarray:
    return -np.log([max(each.probabilities[each.answer], 1e-12) for each in outcomes])
