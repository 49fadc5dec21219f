"""Ask the questions of an exam: the model in this process, by the service's own code, or a running service."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from mcq_eval.calibration_fit.scored_question import ScoredQuestion
from mcq_eval.errors import AskingFailed
from mcq_eval.runner.service_client import PATIENCE_SECONDS
from mcq_eval.runner.typed_answers import answers_of_both, typed_result
from mcq_service.api.decisions.schemas import DecisionRequest
from mcq_service.api.error_mapping import EXPECTED, as_problem
from mcq_service.api.mcq.answer_schemas import Result, Results
from mcq_service.mcq import TypedQuestion
from mcq_service.runtime import builder
from mcq_service.runtime.task_group import gather
from mcq_service.telemetry import Metrics, Tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from mcq_eval.dataset.exam import ExamQuestion
    from mcq_eval.dataset.typed_question import DecisionQuestion
    from mcq_service.api.mcq.question_schemas import Question
    from mcq_service.model_store import PreparedModel
    from mcq_service.prompts import Form
    from mcq_service.runtime.builder import Backend
    from mcq_service.runtime.settings import Settings


@dataclass(frozen=True)
class Pace:
    """The number of questions in a request, and of requests at the same time."""

    chunk: int
    requests: int

    @property
    def at_once(self) -> int:
        """The number of questions in progress."""
        return self.chunk * self.requests


ALONE = Pace(chunk=16, requests=2)
"""For an exam that has the service to itself: a second request keeps the engine busy while the first one ends."""
BESIDE_USERS = Pace(chunk=8, requests=1)
"""For a shard in a Job: users wait behind a few of its questions, and not behind a full queue."""
_SCORED_AT_ONCE = 8


AskedQuestion: TypeAlias = "Question | DecisionQuestion"


class Answerer(Protocol):
    """Answers a batch of questions."""

    async def answers(self, questions: Sequence[AskedQuestion]) -> Results:
        """Return a result for each question, in their order. Raises AskingFailed if it can answer none."""


@dataclass(frozen=True)
class InProcess:
    """Answers with a model in this process, by the service's own code."""

    backend: Backend

    async def answers(self, questions: Sequence[AskedQuestion]) -> Results:
        """See Answerer."""
        return await answers_of_both(questions, self.backend.mcq.answers, self._typed)

    async def _typed(self, question: DecisionQuestion) -> Result:
        request = DecisionRequest.model_validate(question.request)
        [asked] = request.questions
        use_case, started = self.backend.typed_questions, time.monotonic()
        try:
            answers = await use_case.answer(request.state, [TypedQuestion(asked.text, asked.options)])
        except Exception as error:  # noqa: BLE001 - one question's error must not fail the others
            return Result(index=0, problem=as_problem(error).problem())
        return typed_result(
            question, answers.probabilities[0], answers.usage, model=use_case.model, started=started
        )


class Scorer(Protocol):
    """Gives a model's own scores."""

    async def score_labels(self, question: Question, *, form: Form, rotation: int = 0) -> list[float]:
        """Score the letters, with the choices rotated by `rotation` places; see MCQService."""


@asynccontextmanager
async def load_in_process(
    prepared: PreparedModel, settings: Settings, *, every_form: bool = False
) -> AsyncIterator[Backend]:
    """Load the prepared model into this process as the service does, with a longer deadline.

    With `every_form` the prefixes of all its forms are cached.
    """
    patient = settings.model_copy(update={"deadline_seconds": PATIENCE_SECONDS})
    build = await asyncio.to_thread(
        lambda: builder.local(
            prepared, patient, metrics=Metrics(), tracing=Tracing({}), every_form=every_form
        )
    )
    backend = build()
    try:
        yield backend
    finally:
        await backend.stop()


async def answer_all(
    answerer: Answerer,
    questions: Sequence[AskedQuestion],
    *,
    advance: Callable[[int], None],
    pace: Pace = ALONE,
) -> Results:
    """Ask all questions; call `advance` with the number of newly answered ones. Raises AskingFailed."""
    at_once = asyncio.Semaphore(pace.requests)

    async def answer_chunk(first: int) -> Results:
        async with at_once:
            chunk = questions[first : first + pace.chunk]
            results = await answerer.answers(chunk)
        advance(len(chunk))
        return results

    chunks = await gather(answer_chunk(first) for first in range(0, len(questions), pace.chunk))
    return Results(results=[result for chunk in chunks for result in chunk.results])


async def score_all(
    scorer: Scorer, questions: Sequence[ExamQuestion], form: Form, *, rotate: bool,
    advance: Callable[[int], None],
) -> list[ScoredQuestion]:  # fmt: skip
    """Score each question in its own order, or in every rotation of its choices. Raises AskingFailed."""
    at_once = asyncio.Semaphore(_SCORED_AT_ONCE)

    async def score_question(question: ExamQuestion) -> ScoredQuestion:
        rows = []
        async with at_once:
            for rotation in range(len(question.labels) if rotate else 1):
                try:
                    rows.append(await scorer.score_labels(question.question, rotation=rotation, form=form))
                except EXPECTED as error:
                    raise AskingFailed(f"Question {question.id} can't be scored: {error}") from error
        advance(1)
        return ScoredQuestion(question.labels, rows, question.answer, question.subject, question.exam)

    return await gather(score_question(each) for each in questions)
