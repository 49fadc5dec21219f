"""Answer a question, with reasoning after or before the answer; stream the answer; answer a batch."""

from __future__ import annotations

import time
import uuid
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mcq_service.api.error_mapping import as_problem
from mcq_service.api.mcq.answer_schemas import Answer, Decision, ReasoningDelta, Result, Results
from mcq_service.api.mcq.question_schemas import Question
from mcq_service.api.problems import InvalidField, InvalidQuestion, ProblemError, RequestTooLarge
from mcq_service.engine import PromptTooLong, TooManyChoices
from mcq_service.mcq.cascade import Cascade
from mcq_service.mcq.choosing_session import ChoosingSession
from mcq_service.mcq.judging_session import JudgingSession
from mcq_service.mcq.probabilities import rotations
from mcq_service.mcq.session import AnswerOptions, Session, debias_in
from mcq_service.prompts import CHATML, Openings, in_prompt_thread, render
from mcq_service.runtime.task_group import emitted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from mcq_service.engine import TextEngine
    from mcq_service.mcq.calibration import Calibration
    from mcq_service.mcq.escalation import Escalation
    from mcq_service.prompts import Form, Forms
    from mcq_service.scheduler import Admission, RequestPart
    from mcq_service.telemetry import Metrics, Tracing

Event = Decision | ReasoningDelta | Answer

MAX_REQUEST_CHARACTERS = 4 * 1024 * 1024
"""The largest request, also of typed questions: its questions and choices, counted once for each time they are read.

A request body without rotations has at most this many.
"""


def _ignore(_: Event) -> None:
    """Drop the event."""


class MCQService:
    """Answers questions on one engine."""

    def __init__(
        self, texts: TextEngine, admission: Admission, *, model: str, defaults: AnswerOptions,
        calibration: Calibration, metrics: Metrics, tracing: Tracing, escalation: Escalation | None = None,
        forms: Forms = CHATML, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Answer on `texts`; with `escalation`, ask another solver instead of abstaining.

        `model` is the name in responses, `defaults` are the options of a question that does not set them; `clock`,
        in seconds, is the clock of the texts.
        """
        self._texts = texts
        self._admission = admission
        self.model = model
        self.defaults = defaults
        self._calibration = calibration
        self._forms = forms
        self._metrics = metrics
        self._tracing = tracing
        self._escalation = escalation
        self._clock = clock

    async def answer(
        self, question: Question, *, escalate: bool = True, emit: Callable[[Event], None] = _ignore
    ) -> Answer:
        """Answer one question; `escalate` says whether another solver may, `emit` gets the events before the answer.

        Raises PromptTooLong, EngineFailed or SchedulerError.
        """
        self._check([question])
        with ExitStack() as kept:
            return await self._run(question, emit, Openings(), kept, escalate=escalate)

    def stream(self, question: Question, *, escalate: bool = True) -> AsyncGenerator[Event]:
        """Yield the decision, the reasoning in parts (before the decision in mode reason), and the Answer.

        Raises like `answer`, before the first event or between two. Closing the iterator cancels the work.
        """

        async def run(emit: Callable[[Event], None]) -> None:
            emit(await self.answer(question, escalate=escalate, emit=emit))

        return emitted(run)

    async def answers(
        self, questions: Sequence[Question | ProblemError], *, escalate: bool = True
    ) -> Results:
        """Answer a batch. A question that fails, or is a problem already, has the problem as its result.

        Raises RequestTooLarge, QueueFull or QueueClosed.
        """
        self._check([each for each in questions if isinstance(each, Question)])
        with self._admission.admit_parts(len(questions)) as parts:
            openings = Openings()
            tasks = [
                partial(self._result, index, each, openings, escalate) for index, each in enumerate(questions)
            ]
            return Results(results=await parts.gather(tasks))

    def _check(self, questions: Sequence[Question]) -> None:
        """Refuse questions that are too much work: with rotations, a request body could ask for hours of it."""
        openings = {Openings.key(each): each.opening_characters for each in questions if each.has_opening}
        total = sum(openings.values()) + sum(self._characters(question) for question in questions)
        if total > MAX_REQUEST_CHARACTERS:
            raise RequestTooLarge(
                f"The request has {total} characters, counted once for each rotation of a question's choices; the "
                f"limit is {MAX_REQUEST_CHARACTERS}. Send fewer questions or choices, or another debias than "
                "rotations."
            )

    def _characters(self, question: Question) -> int:
        debias = debias_in(question.mode or self.defaults.mode, question.debias or self.defaults.debias)
        times = len(question.choices) if debias == "rotations" else 1
        return (2 if question.select == "all" else times) * question.characters

    async def _result(
        self,
        index: int,
        question: Question | ProblemError,
        openings: Openings,
        escalate: bool,
        part: RequestPart,
    ) -> Result:
        mode = "unknown"
        try:
            if isinstance(question, ProblemError):
                raise question
            mode = question.mode or self.defaults.mode
            with ExitStack() as kept:
                answer = await self._run(question, _ignore, openings, kept, part, escalate=escalate)
                if question.has_opening:
                    await part.handed_over()
            return Result(index=index, answer=answer)
        except Exception as error:  # noqa: BLE001 - one question's error must not fail the others
            problem = as_problem(error)
            self._metrics.refused(mode=mode, outcome=problem.slug)
            return Result(index=index, problem=problem.problem())

    async def score_labels(self, question: Question, *, form: Form, rotation: int = 0) -> list[float]:
        """Return each letter's log-probability without calibration, up to one constant, to measure the model.

        The choices are rotated by `rotation` places; `form` is the form of the prompt. Raises
        PromptTooLong, EngineFailed or SchedulerError.
        """
        options = question.options
        order = rotations(len(options))[rotation]
        prompt = await in_prompt_thread(render, question, form, order=order)
        encoded = await self._texts.encode(prompt, room=0)
        with self._admission.admit(encoded.size, writes=False) as slot:
            await slot.turn()
            with encoded.open(slot.share) as text:
                slot.watch(text)
                return await text.score_labels([option.label for option in options])

    async def _run(
        self, question: Question, emit: Callable[[Event], None], openings: Openings, kept: ExitStack,
        part: RequestPart | None = None, *, escalate: bool,
    ) -> Answer:  # fmt: skip
        session_type: type[Session] = ChoosingSession if question.select == "one" else JudgingSession
        session = partial(
            session_type,
            id=f"mcq-{uuid.uuid4().hex}",
            question=question,
            model=self.model,
            texts=self._texts,
            calibration=self._calibration,
            forms=self._forms,
            tracing=self._tracing,
            clock=self._clock,
            openings=openings,
            admitted=self._clock(),
        )
        own = question.model_dump(
            include={"mode", "max_reasoning_tokens", "debias", "min_confidence"}, exclude_none=True
        )
        options = replace(self.defaults, **own)
        try:
            async with self._admission.deadline():
                if escalate and self._escalation is not None:
                    answer, usage = await Cascade(self._escalation, self._metrics, self._tracing).answer(
                        session, options, emit, self._admission, part, kept
                    )
                else:
                    answer = await session(options=options, emit=emit, kept=kept).run(self._admission, part)
                    usage = answer.usage
        except PromptTooLong as error:
            raise _too_long(question, error) from None
        except TooManyChoices as error:
            field = InvalidField(pointer="/choices", detail=str(error))
            raise InvalidQuestion(f"Send fewer choices. {error}", errors=[field]) from None
        self._metrics.answered(answer, own=usage)
        return answer


def _too_long(question: Question, error: PromptTooLong) -> Exception:
    """Return the problem that names every field that the client can shorten."""
    names = [name for name in ("context", "examples", "instructions") if getattr(question, name)]
    if not names:
        return error
    names.append("question")
    return InvalidQuestion(
        f"Shorten the {', '.join(names[:-1])} or {names[-1]}. {error}",
        errors=[InvalidField(pointer=f"/{name}", detail=str(error)) for name in names],
    )
