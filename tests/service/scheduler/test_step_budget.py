"""The prompt tokens of a step."""

import pytest

from mcq_service.scheduler.step_budget import LEAST_TOKENS, STEP_TOKENS, StepBudget


@pytest.mark.parametrize(
    ("rate", "writing", "expected"),
    [(2500, True, 500), (2500, False, STEP_TOKENS), (300, True, 60), (300, False, 300), (20, True, LEAST_TOKENS),
     (20, False, 20), (2, False, LEAST_TOKENS)],
)  # fmt: skip
def test_the_measured_rate_bounds_a_steps_time(rate: float, writing: bool, expected: int) -> None:
    """A second, a fifth of one beside a text being written, and never so few tokens that the engine idles."""
    budget = StepBudget()
    budget.observe(tokens=100, seconds=100 / rate)
    assert budget.tokens(writing=writing) == expected


def test_a_step_of_few_tokens_measures_nothing() -> None:
    budget = StepBudget()
    assert budget.tokens(writing=True) == STEP_TOKENS
    budget.observe(tokens=LEAST_TOKENS - 1, seconds=60)
    assert budget.tokens(writing=True) == STEP_TOKENS


def test_a_busy_moment_changes_the_budget_less_than_a_lasting_slowness() -> None:
    budget = StepBudget()
    budget.observe(tokens=100, seconds=0.2)
    budget.observe(tokens=100, seconds=20)
    assert budget.tokens(writing=False) > 400
    for _ in range(60):
        budget.observe(tokens=100, seconds=2)
    assert budget.tokens(writing=False) == pytest.approx(50, abs=2)
    budget.observe(tokens=100, seconds=0.5)
    assert budget.tokens(writing=False) == 200
