"""The number of prompt tokens that a step may read, from the rate at which the engine reads."""

from __future__ import annotations

STEP_TOKENS = 512
"""The upper limit: larger matrix products aren't faster."""
LEAST_TOKENS = 16
"""The lower limit: reading the weights for a step takes as long as multiplying this many tokens."""

# A new request, a cancellation and a deadline wait for the end of a step, and so does a written text's next token.
SECONDS = 1.0
SECONDS_WHILE_WRITING = 0.2
_FORGET = 0.1  # weight of one slower step in the rate: a busy moment does not mean a slower machine


class StepBudget:
    """Measures the rate. Before the first measurement it allows STEP_TOKENS."""

    def __init__(self) -> None:
        """Start without a measurement."""
        self._rate: float | None = None

    def tokens(self, *, writing: bool) -> int:
        """Return the prompt tokens for the next step; `writing` says whether it also writes texts."""
        if self._rate is None:
            return STEP_TOKENS
        seconds = SECONDS_WHILE_WRITING if writing else SECONDS
        return max(LEAST_TOKENS, min(STEP_TOKENS, int(self._rate * seconds)))

    def observe(self, *, tokens: int, seconds: float) -> None:
        """Measure a step. Steps of few tokens don't count, because reading the weights takes most of their time."""
        if tokens < LEAST_TOKENS:
            return
        rate = tokens / max(seconds, 1e-6)
        if self._rate is None or rate > self._rate:
            self._rate = rate
        else:
            self._rate += _FORGET * (rate - self._rate)
