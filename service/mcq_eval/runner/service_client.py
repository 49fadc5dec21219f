"""Ask a running service over HTTP."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from mcq_eval.errors import AskingFailed, one_line
from mcq_eval.runner.typed_answers import answers_of_both, typed_result
from mcq_service.api.decisions.schemas import Decision, PredicateAnswer, ScoreAnswer
from mcq_service.api.mcq.answer_schemas import Result, Results, Usage
from mcq_service.api.mcq.batch_schemas import Batch
from mcq_service.api.mcq.question_schemas import NO_ESCALATION
from mcq_service.api.problems import Problem
from mcq_service.api.service.schemas import Service
from mcq_service.model_store.retry import retry_after
from mcq_service.telemetry.exam_requests import EXAM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from mcq_eval.dataset.typed_question import DecisionQuestion
    from mcq_service.api.mcq.question_schemas import Question
    from mcq_service.api.service.schemas import Identity

Body = TypeVar("Body", bound=BaseModel)

PATIENCE_SECONDS = 600.0
"""How long one question may take."""
_RETRIES = {429: 20, 503: 20, 504: 20, httpx2.codes.BAD_GATEWAY: 8}
"""The statuses of a question that may be answered later, and how often it is asked again.

A busy service gets a quarter of an hour; a failed engine three minutes, because it may fail at this question only.
"""
_DROPPED = (httpx2.NetworkError, httpx2.RemoteProtocolError)
_DROPPED_RETRIES = 8
_MOST_ENGINE_FAILURES = 8
"""After this many questions in a row the engine is down, and the exam ends."""
_MIN_PAUSE_SECONDS = 1.0
_MAX_PAUSE_SECONDS = 60.0
"""The longest pause, even if the response asks for an hour: it may come from a proxy that is mistaken."""


class ServiceClient:
    """A client of a running service."""

    def __init__(
        self, client: httpx2.AsyncClient, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """`client` has the service's base URL, and its key if it needs one; `sleep` takes seconds."""
        self._client = client
        self._sleep = sleep
        self._reached = False  # has the service ever answered?
        self._engine_failures = 0

    async def answers(self, questions: Sequence[Question | DecisionQuestion]) -> Results:
        """See Answerer. Wait while the service is busy or fails, and repeat the questions that it did not answer.

        Raises AskingFailed if the engine fails at one question after the other.
        """
        results = await answers_of_both(questions, self._answers, self._decide)
        for each in results.results:
            if each.answer:
                self._engine_failures = 0
            elif each.problem and each.problem.status == httpx2.codes.BAD_GATEWAY:
                self._engine_failures += 1
                if self._engine_failures == _MOST_ENGINE_FAILURES:
                    raise AskingFailed(
                        f"{self._client.base_url} did not answer {_MOST_ENGINE_FAILURES} questions in a row. "
                        f"The last: {each.problem.detail}"
                    )
        return results

    async def _answers(self, questions: Sequence[Question]) -> Results:
        results = (await self._post(questions)).results
        for attempt in count():
            again = [
                each.index
                for each in results
                if each.problem and attempt < _RETRIES.get(each.problem.status, 0)
            ]
            if not again:
                break
            await self._sleep(_pause(attempt))
            repeated = await self._post([questions[index] for index in again])
            for index, result in zip(again, repeated.results, strict=True):
                results[index] = result.model_copy(update={"index": index})
        return Results(results=results)

    async def identity(self) -> Identity | None:
        """Return the identity of the model and prompt; None if the service does not say. Raises AskingFailed."""
        response = await self._send("GET", "/api/v1/service")
        if response.status_code == httpx2.codes.NOT_FOUND:
            return None  # an older release, without identities
        return _parse(response, Service).identity

    async def _post(self, questions: Sequence[Question]) -> Results:
        body = Batch(questions=list(questions)).model_dump(mode="json", exclude_none=True)
        response = await self._send("POST", "/api/v1/mcq/answers", body)
        results = _parse(response, Results)
        if [each.index for each in results.results] != list(range(len(questions))):
            msg = f"{response.url} does not answer each of {len(questions)} questions, in order."
            raise AskingFailed(msg)
        return results

    async def _decide(self, question: DecisionQuestion) -> Result:
        started = time.monotonic()
        response = await self._send("POST", "/v1/decisions", question.request)
        if response.status_code != httpx2.codes.OK:
            return _refused(response.status_code, "Not answered", response.text[:500])
        decision = _parse(response, Decision)
        match decision.answers[0]:
            case PredicateAnswer(probability=true):
                probabilities = [true, 1 - true]
            case ScoreAnswer(probabilities=levels):
                probabilities = [level.probability for level in levels]
            case _:
                return _refused(422, "Refused", "The confidence is below the service's minimum.")
        usage = Usage(
            prompt_tokens=decision.usage.input_tokens,
            completion_tokens=0,
            cached_tokens=decision.usage.input_tokens_details.cached_tokens,
        )
        return typed_result(question, probabilities, usage, model=decision.model, started=started)

    async def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        """Send the body; wait while the service is busy, fails, or drops the connection. Raises AskingFailed."""
        for attempt in count():
            seconds = None
            try:
                response = await self._client.request(method, path, json=body)
            except httpx2.HTTPError as error:
                # A service that never answered has a wrong URL.
                again = self._reached and isinstance(error, _DROPPED) and attempt < _DROPPED_RETRIES
                if not again:
                    raise AskingFailed(f"{self._client.base_url} does not answer: {error}") from error
            else:
                self._reached = True
                if attempt >= _RETRIES.get(response.status_code, 0):
                    break
                seconds = retry_after(response.headers)
            await self._sleep(_pause(attempt, seconds))
        return response


def _pause(attempt: int, asked: float | None = None) -> float:
    """Return the seconds before the next attempt: as the service `asked`, or twice as many as the last time."""
    seconds = _MIN_PAUSE_SECONDS * 2.0**attempt if asked is None else asked
    return min(max(seconds, _MIN_PAUSE_SECONDS), _MAX_PAUSE_SECONDS)


def _parse(response: httpx2.Response, schema: type[Body]) -> Body:
    """Return the response's body. Raises AskingFailed."""
    if response.status_code != httpx2.codes.OK:
        raise AskingFailed(f"{response.url} answers {response.status_code}: {response.text[:500]}")
    try:
        return schema.model_validate_json(response.content)
    except ValidationError as error:
        raise AskingFailed(
            f"{response.url} does not answer like an MCQ service: {one_line(error)}"
        ) from error


def _refused(status: int, title: str, detail: str) -> Result:
    return Result(index=0, problem=Problem(type="about:blank", title=title, status=status, detail=detail))


@asynccontextmanager
async def connect(url: str, key: str | None, *, escalate: bool = False) -> AsyncIterator[ServiceClient]:
    """Connect to the service at a URL; `escalate` says whether it may ask another solver."""
    headers = dict([EXAM] if escalate else [EXAM, NO_ESCALATION])
    if key:
        headers["Authorization"] = f"Bearer {key}"
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE_SECONDS) as client:
        yield ServiceClient(client)
