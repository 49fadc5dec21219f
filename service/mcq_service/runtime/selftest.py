"""The question that a replica asks itself: it goes through the engine and the parser as a client's does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from mcq_service.api.mcq.schemas import Question
from mcq_service.api.problems import ProblemError, unexpected

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_service.answering import Answering

QUESTION = Question(question="Which of these is a colour?", choices=["blue", "seven"], mode="answer")
WARM_UP = QUESTION.model_copy(update={"mode": "explain", "max_reasoning_tokens": 2})
FRESH_SECONDS = 5.0
"""How long an outcome is told again: nobody needs a key to ask for it, so it must cost little."""


class SelfTest:
    """Asks on behalf of those who want to know whether questions are answered."""

    def __init__(self, answering: Answering, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`answering` should count where nobody looks: no client asks these questions."""
        self._answering = answering
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._asked: float | None = None
        self._outcome: float | ProblemError = 0.0

    async def warm_up(self) -> None:
        """Read, score and write for the first time. Raises ProblemError."""
        await self._answering.answer(WARM_UP)

    async def seconds(self) -> float:
        """How long the answer took; the last outcome, if it is fresh. Raises ProblemError if there was none."""
        async with self._one_at_a_time:
            if self._asked is None or self._clock() >= self._asked + FRESH_SECONDS:
                self._outcome = await self._ask()
                self._asked = self._clock()
        if isinstance(self._outcome, ProblemError):
            raise self._outcome
        return self._outcome

    async def _ask(self) -> float | ProblemError:
        try:
            return (await self._answering.answer(QUESTION)).timings.total_ms / 1000
        except Exception as error:  # noqa: BLE001 - told again like an answer, or each probe would ask anew
            return unexpected(error)
