"""The replica's test question; it goes through the engine and the parser like a client's."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from mcq_service.api.error_mapping import as_problem
from mcq_service.api.mcq.question_schemas import Question
from mcq_service.api.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_service.mcq import MCQService

QUESTION = Question(question="Which of these is a colour?", choices=["blue", "seven"], mode="answer")
WARM_UP = QUESTION.model_copy(update={"mode": "explain", "max_reasoning_tokens": 2})
FRESH_SECONDS = 5.0
"""Seconds for which an outcome is reused: /answerz needs no key, so it must cost little."""


class SelfTest:
    """Asks the test question, to find out whether questions are answered."""

    def __init__(self, mcq: MCQService, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask `mcq`. It needs metrics of its own, because clients do not ask these questions."""
        self._mcq = mcq
        self._clock = clock
        self._lock = asyncio.Lock()
        self._asked: float | None = None
        self._outcome: float | ProblemError = 0.0

    async def warm_up(self) -> None:
        """Read, score and write for the first time. Raises like `MCQService.answer`."""
        await self._mcq.answer(WARM_UP, escalate=False)

    async def seconds(self) -> float:
        """Return how long the answer took, reusing a fresh outcome. Raises ProblemError without an answer."""
        async with self._lock:
            if self._asked is None or self._clock() >= self._asked + FRESH_SECONDS:
                self._outcome = await self._ask()
                self._asked = self._clock()
        if isinstance(self._outcome, ProblemError):
            raise self._outcome
        return self._outcome

    async def _ask(self) -> float | ProblemError:
        try:
            return (await self._mcq.answer(QUESTION, escalate=False)).timings.total_ms / 1000
        except Exception as error:  # noqa: BLE001 - reused like an answer, or each probe would ask again
            return as_problem(error)
