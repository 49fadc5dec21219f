"""The client of the other solver, which is asked where this replica would abstain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx2
from pydantic import ValidationError

from mcq_service.api.mcq.answer_schemas import Answer
from mcq_service.api.mcq.question_schemas import NO_ESCALATION
from mcq_service.engine.remote.server_connection import KeyUnreadable, ServerConnection

if TYPE_CHECKING:
    from pathlib import Path

    from mcq_service.api.mcq.answer_schemas import Decision
    from mcq_service.api.mcq.question_schemas import Question

MAX_AT_ONCE = 16
"""The most questions that one replica asks the other solver at once. Further ones wait."""
MAX_WAITING = 64
"""The most questions that may wait. The service abstains from further ones."""


class TooUnsure(Exception):
    """The confidence is below the minimum; raised only if the question may be escalated."""

    def __init__(self, decision: Decision) -> None:
        """Keep the decision, an abstention."""
        super().__init__(decision.confidence)
        self.decision = decision


class EscalationFailed(Exception):
    """The other solver gave no answer; the message says why, without the question."""


class Escalation:
    """A client of the other solver."""

    def __init__(self, endpoint: str, *, key_file: Path | None) -> None:
        """Prepare a client for the solver at `endpoint`."""
        # `answer` bounds the time and the number of requests.
        self._server = ServerConnection(endpoint.rstrip("/"), key_file=key_file, timeout_seconds=None)
        self.name = self._server.name
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)
        self._waiting = 0

    async def answer(self, question: Question, *, seconds: float) -> Answer:
        """Ask the other solver, and forbid it to ask a third one. Raises EscalationFailed."""
        if self._waiting >= MAX_WAITING:
            raise EscalationFailed(f"{self._waiting} questions wait for {self.name} already.")
        asked = False
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds), self._turns:
                asked = True
                self._waiting -= 1
                return await self._ask(question)
        except TimeoutError as error:
            problem = "does not answer" if asked else "has no room for another question of this replica"
            raise EscalationFailed(f"{self.name} {problem} within {max(0.0, seconds):.1f} s.") from error
        finally:
            self._waiting -= not asked

    async def _ask(self, question: Question) -> Answer:
        body = question.model_dump(mode="json", exclude_none=True, exclude={"stream"})
        try:
            response = await self._server.send("POST", "/api/v1/mcq/answer", body, dict([NO_ESCALATION]))
            try:
                content = await response.aread()
            finally:
                await response.aclose()
        except httpx2.HTTPError as error:
            raise EscalationFailed(f"{self.name} does not answer: {type(error).__name__}.") from error
        except KeyUnreadable as error:
            raise EscalationFailed(f"The API key for {self.name} can't be read: {error}.") from error
        if response.status_code != httpx2.codes.OK:
            raise EscalationFailed(f"{self.name} answers with status {response.status_code}.")
        try:
            answer = Answer.model_validate_json(content)
        except ValidationError:
            # Without the cause: it quotes the answer.
            raise EscalationFailed(f"{self.name} sent a response that is not a solver's.") from None
        count = len(question.offered)
        if len(answer.probabilities) != count or (answer.answer is not None and answer.answer.index >= count):
            raise EscalationFailed(f"{self.name} sent the answer to another question.")
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()
