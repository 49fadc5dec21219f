"""The use cases: answer a question, with reasoning after or before; stream it; answer many."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from mcq_service.answering.asking import Asking, Wish, rotates
from mcq_service.answering.deciding import rotations
from mcq_service.api.mcq.schemas import (
    Answer,
    Debias,
    Decision,
    Mode,
    Question,
    ReasoningDelta,
    Result,
    Results,
)
from mcq_service.api.problems import (
    BadEngine,
    DeadlineExceeded,
    InvalidField,
    InvalidQuestion,
    ProblemError,
    RequestTooLarge,
)
from mcq_service.api.problems import (
    as_problem as unexpected,
)
from mcq_service.engine import EngineFailed, PromptTooLong
from mcq_service.prompts import ANSWER_FIRST, Form, render

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from mcq_service.answering.calibration import Calibration
    from mcq_service.engine import TextEngine as Texts
    from mcq_service.engine import Tokens
    from mcq_service.scheduler import Admission, LanePart
    from mcq_service.telemetry import Metrics, Tracing

Event = Decision | ReasoningDelta | Answer


MAX_CHARACTERS = 4 * 1024 * 1024
"""Of a batch's questions and choices, as often as they are read: what a body can have without rotations."""


@dataclass(frozen=True)
class Defaults:
    """What a question that does not say gets."""

    mode: Mode
    max_reasoning_tokens: int
    min_confidence: float
    debias: Debias
    deadline_seconds: float


class Letters(NamedTuple):
    """A model's scores of one question: for each choice, in their order, its log-probability up to one constant.

    `labels` are the letters they were offered under; `seconds` is the time it took.
    """

    log_probabilities: list[float]
    labels: list[str]
    tokens: Tokens
    seconds: float


class Answering:
    """Answers questions on one engine."""

    def __init__(
        self, texts: Texts, admission: Admission, *, model: str, defaults: Defaults, calibration: Calibration,
        metrics: Metrics, tracing: Tracing, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`model` is the name responses carry; `clock`, in seconds, is the one texts say their beginning by."""
        self._texts = texts
        self._admission = admission
        self._model = model
        self._defaults = defaults
        self._calibration = calibration
        self._metrics = metrics
        self._tracing = tracing
        self._clock = clock

    @property
    def model(self) -> str:
        """The name responses carry."""
        return self._model

    @property
    def defaults(self) -> Defaults:
        """What a question that does not say gets."""
        return self._defaults

    async def answer(self, question: Question) -> Answer:
        """Answer one question. Raises a ProblemError that says why it could not be."""
        return await self._run(question, _ignore)

    async def stream(self, question: Question) -> AsyncGenerator[Event]:
        """The decision, the reasoning in parts (before the decision in mode reason), and at last the Answer.

        Raises a ProblemError, before the first event or between two. Closing the iterator ends the work.
        """
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        # A task of its own: whoever takes the events may do so from several, which a deadline can't span.
        work = asyncio.create_task(self._run(question, events.put_nowait))
        work.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            yield await work
        finally:
            work.cancel()

    async def answers(self, questions: Sequence[Question | ProblemError]) -> Results:
        """Answer several, each by itself: one that can't be answered, or is a problem already, says so in its result.

        Raises RequestTooLarge, Overloaded or Draining.
        """
        self._check([each for each in questions if isinstance(each, Question)])
        with self._admission.lane(len(questions)) as lane:
            works = [partial(self._result, index, each) for index, each in enumerate(questions)]
            return Results(results=await lane.gather(works))

    def _check(self, questions: Sequence[Question]) -> None:
        """Refuse more work than one request may be: with rotations, hours of it would fit into a body."""
        total = sum(self._characters(question) for question in questions)
        if total > MAX_CHARACTERS:
            raise RequestTooLarge(
                f"The batch has {total} characters, where each rotation of a question's choices counts; one request "  # noqa: EM102
                f"may have {MAX_CHARACTERS}. Send fewer questions at once, or with another debias than rotations."
            )

    def _characters(self, question: Question) -> int:
        options = question.options
        debias, mode = question.debias or self._defaults.debias, question.mode or self._defaults.mode
        times = len(options) if rotates(debias, mode) else 1
        return times * (len(question.question) + sum(len(option.text) for option in options))

    async def _result(self, index: int, question: Question | ProblemError, part: LanePart) -> Result:
        mode = "unknown"
        try:
            if isinstance(question, ProblemError):
                raise question
            mode = question.mode or self._defaults.mode
            return Result(index=index, answer=await self._run(question, _ignore, part))
        except Exception as error:  # noqa: BLE001 - it is this question's own; the others are answered
            problem = unexpected(error)
            self._metrics.refused(mode=mode, outcome=problem.slug)
            return Result(index=index, problem=problem.problem())

    async def letters(self, question: Question, *, rotation: int = 0, form: Form = ANSWER_FIRST) -> Letters:
        """What the model says of each choice, uncalibrated, when the choices are offered rotated by so many places.

        The letter is asked for in `form`. For those who measure the model. Raises PromptTooLong, EngineFailed, or a
        ProblemError.
        """
        options = question.options
        order = rotations(len(options))[rotation]
        started = self._clock()
        encoded = await self._texts.encode(render(question, form, order=order), room=0)
        with self._admission.admit(encoded.size, writes=False) as slot:
            await slot.turn()
            with encoded.open(slot.share) as text:
                slot.watch(text)
                scores = await text.letters([option.label for option in options])
        by_choice = dict(zip(order, scores, strict=True))
        return Letters(
            log_probabilities=[by_choice[index] for index in range(len(options))],
            labels=[options[order.index(index)].label for index in range(len(options))],
            tokens=text.tokens,
            seconds=self._clock() - started,
        )

    async def _run(
        self, question: Question, emit: Callable[[Event], None], part: LanePart | None = None
    ) -> Answer:
        defaults = self._defaults
        asking = Asking(
            id=f"mcq-{uuid.uuid4().hex}",
            question=question,
            wish=Wish(
                mode=question.mode or defaults.mode,
                reasoning_tokens=question.max_reasoning_tokens or defaults.max_reasoning_tokens,
                debias=question.debias or defaults.debias,
                min_confidence=(
                    defaults.min_confidence if question.min_confidence is None else question.min_confidence
                ),
            ),
            model=self._model,
            texts=self._texts,
            calibration=self._calibration,
            tracing=self._tracing,
            clock=self._clock,
            emit=emit,
        )
        try:
            async with asyncio.timeout(self._defaults.deadline_seconds):
                answer = await asking.run(self._admission, part)
        except TimeoutError:
            raise DeadlineExceeded("The service is too busy for this deadline; try again later.") from None
        except PromptTooLong as error:
            field = InvalidField(pointer="/question", detail=str(error))
            raise InvalidQuestion(f"Shorten the question. {error}", errors=[field]) from error  # noqa: EM102
        except EngineFailed as error:
            raise BadEngine(str(error)) from error
        self._metrics.answered(answer)
        return answer


def _ignore(_: Event) -> None:
    """Nobody waits for events."""
