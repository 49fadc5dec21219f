"""Who is asked: the model in this process, through all that the service does with a question, or a running service."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol

import httpx2
from pydantic import ValidationError

from mcq_service.answering.deciding import rotations
from mcq_service.api.mcq.schemas import Batch, Results
from mcq_service.api.problems import ProblemError
from mcq_service.api.service.schemas import Service
from mcq_service.exams.errors import AskingFailed
from mcq_service.exams.fitting import Scored
from mcq_service.prompts import ANSWER_FIRST, Form
from mcq_service.runtime import builder as serving
from mcq_service.runtime.task_group import gather
from mcq_service.telemetry import Metrics, Tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from mcq_service.answering.answering import Letters
    from mcq_service.api.mcq.schemas import Question
    from mcq_service.api.service.schemas import Identity
    from mcq_service.exams.questions import ExamQuestion
    from mcq_service.model_store import PreparedModel
    from mcq_service.runtime.builder import Backend as Serving
    from mcq_service.runtime.settings import Settings


@dataclass(frozen=True)
class Pace:
    """How many questions are asked in one request, and how many requests are under way at the same time."""

    chunk: int
    requests: int

    @property
    def at_once(self) -> int:
        """How many questions are under way."""
        return self.chunk * self.requests


ALONE = Pace(chunk=16, requests=2)
"""For whoever asks alone: a batch is full while the last of a chunk is answered."""
BESIDE_USERS = Pace(chunk=8, requests=1)
"""For a shard in a Job: whoever else asks waits behind a few questions, and not behind a full queue."""
_SCORED_AT_ONCE = 8
_PATIENCE_SECONDS = 600.0
_RETRIES = 20
_SHORTEST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
"""A service that says it is busy for an hour is asked again before: it may be behind a proxy that doesn't know."""
_BUSY = (429, 503, 504)
"""Another time, when less is asked, the question may be answered: in time, too."""


class Asker(Protocol):
    """Answers several questions, each by itself; raises AskingFailed where none can be."""

    async def answers(self, questions: Sequence[Question]) -> Results:
        """One result for each, in their order."""


class Scorer(Protocol):
    """Gives a model's own scores."""

    async def letters(self, question: Question, *, rotation: int = 0, form: Form = ANSWER_FIRST) -> Letters:
        """What the model says of each choice when they are offered rotated; see Answering."""


@asynccontextmanager
async def in_process(
    prepared: PreparedModel, settings: Settings, *, forms: Iterable[Form] = ()
) -> AsyncIterator[Serving]:
    """The prepared model, loaded into this process as the service loads it, with more patience.

    The prefixes of `forms` are read once, too.
    """
    patient = settings.model_copy(update={"deadline_seconds": _PATIENCE_SECONDS})
    built = await asyncio.to_thread(
        lambda: serving.local(prepared, patient, metrics=Metrics(), tracing=Tracing({}), forms=forms)
    )
    ready = built()
    try:
        yield ready
    finally:
        await ready.stop()


class Remote:
    """A running service, asked over HTTP."""

    def __init__(
        self, client: httpx2.AsyncClient, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """`client` has the service's base URL, and its key if it wants one; `sleep` takes seconds."""
        self._client = client
        self._sleep = sleep

    async def answers(self, questions: Sequence[Question]) -> Results:
        """See Asker; waits where the service says it is busy, and asks again what it was too busy for."""
        results = (await self._post(questions)).results
        for _ in range(_RETRIES):
            busy = [each.index for each in results if each.problem and each.problem.status in _BUSY]
            if not busy:
                break
            await self._sleep(1)
            again = await self._post([questions[index] for index in busy])
            for index, result in zip(busy, again.results, strict=True):
                results[index] = result.model_copy(update={"index": index})
        return Results(results=results)

    async def identity(self) -> Identity | None:
        """Which model answers, and by which prompt; None where the service doesn't say. Raises AskingFailed."""
        try:
            response = await self._client.get("/api/v1/service")
        except httpx2.HTTPError as error:
            raise AskingFailed(f"{self._client.base_url} does not answer: {error}") from error  # noqa: EM102
        if response.status_code != httpx2.codes.OK:
            return None  # of before it said
        try:
            return Service.model_validate_json(response.content).identity
        except ValidationError as error:
            raise AskingFailed(f"{response.url} does not answer as an MCQ service does: {error}") from error  # noqa: EM102

    async def _post(self, questions: Sequence[Question]) -> Results:
        body = Batch(questions=list(questions)).model_dump(mode="json", exclude_none=True)
        for _ in range(_RETRIES):
            try:
                response = await self._client.post("/api/v1/mcq/answers", json=body)
            except httpx2.HTTPError as error:
                raise AskingFailed(f"{self._client.base_url} does not answer: {error}") from error  # noqa: EM102
            if response.status_code not in _BUSY:
                break
            await self._sleep(_pause(response.headers.get("Retry-After", "")))
        if response.status_code != httpx2.codes.OK:
            raise AskingFailed(f"{response.url} answers {response.status_code}: {response.text[:500]}")  # noqa: EM102
        try:
            results = Results.model_validate_json(response.content)
        except ValidationError as error:
            raise AskingFailed(f"{response.url} does not answer as an MCQ service does: {error}") from error  # noqa: EM102
        if [each.index for each in results.results] != list(range(len(questions))):
            msg = f"{response.url} does not answer each of {len(questions)} questions, in order."
            raise AskingFailed(msg)
        return results


def _pause(retry_after: str) -> float:
    """The seconds to wait: the header has a number of them, or the date when they are over (RFC 9110)."""
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = _seconds_until(retry_after)
    # Not a number is neither.
    return min(max(seconds, _SHORTEST_PAUSE), _LONGEST_PAUSE) if seconds == seconds else _SHORTEST_PAUSE


def _seconds_until(date: str) -> float:
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return _SHORTEST_PAUSE
    # A date without a zone is one of UTC.
    return (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


@asynccontextmanager
async def service_at(url: str, key: str | None) -> AsyncIterator[Remote]:
    """The service at a URL."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=_PATIENCE_SECONDS) as client:
        yield Remote(client)


async def ask(
    asker: Asker, questions: Sequence[Question], *, advance: Callable[[int], None], pace: Pace = ALONE
) -> Results:
    """Ask all; `advance` is told how many more were answered. Raises AskingFailed."""
    at_once = asyncio.Semaphore(pace.requests)

    async def one(first: int) -> Results:
        async with at_once:
            part = questions[first : first + pace.chunk]
            results = await asker.answers(part)
        advance(len(part))
        return results

    parts = await gather(one(first) for first in range(0, len(questions), pace.chunk))
    return Results(results=[result for part in parts for result in part.results])


async def score(
    scorer: Scorer, questions: Sequence[ExamQuestion], form: Form, *, rotate: bool,
    advance: Callable[[int], None],
) -> list[Scored]:  # fmt: skip
    """The model's scores of each question in its own order, or in every rotation of its choices.

    Raises AskingFailed.
    """
    at_once = asyncio.Semaphore(_SCORED_AT_ONCE)

    async def one(question: ExamQuestion) -> Scored:
        rows = []
        async with at_once:
            orders = rotations(len(question.labels)) if rotate else [range(len(question.labels))]
            for rotation, order in enumerate(orders):
                try:
                    said = await scorer.letters(question.question, rotation=rotation, form=form)
                except ProblemError as error:
                    raise AskingFailed(f"Question {question.id} can't be scored: {error}") from error  # noqa: EM102
                rows.append([said.log_probabilities[choice] for choice in order])
        advance(1)
        return Scored(question.labels, rows, question.answer, question.subject, question.exam)

    return await gather(one(each) for each in questions)
