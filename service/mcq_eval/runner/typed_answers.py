"""Answers to typed questions, in the form of answers to multiple-choice questions: a probability for each label."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from mcq_eval.dataset.typed_question import DecisionQuestion
from mcq_service.api.mcq.answer_schemas import Answer, LabelProbability, Result, Results, Timings, Usage
from mcq_service.api.mcq.question_schemas import Question
from mcq_service.runtime.task_group import gather

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

AT_ONCE = 4
"""Typed questions at the same time: each is a request of its own, and the queue must not refuse long ones."""


async def answers_of_both(
    questions: Sequence[Question | DecisionQuestion],
    ask_choices: Callable[[list[Question]], Awaitable[Results]],
    ask_typed: Callable[[DecisionQuestion], Awaitable[Result]],
) -> Results:
    """Ask the multiple-choice questions as one batch, and the typed ones alone and a few at once.

    Return the results in order.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(question: DecisionQuestion) -> Result:
        async with turns:
            return await ask_typed(question)

    choices = [index for index, each in enumerate(questions) if isinstance(each, Question)]
    typed = {index: each for index, each in enumerate(questions) if isinstance(each, DecisionQuestion)}
    batch = [each for each in questions if isinstance(each, Question)]
    results = dict(zip(choices, (await ask_choices(batch)).results, strict=True)) if batch else {}
    results |= zip(typed, await gather(map(ask, typed.values())), strict=True)
    return Results(
        results=[results[index].model_copy(update={"index": index}) for index in range(len(questions))]
    )


def typed_result(
    question: DecisionQuestion, probabilities: Sequence[float], usage: Usage, *, model: str, started: float
) -> Result:
    """Return the result of a question that was asked at `started` on the monotonic clock, in seconds."""
    first, second, *_ = sorted(probabilities, reverse=True)
    milliseconds = 1000 * (time.monotonic() - started)
    answer = Answer(
        id="",
        model=model,
        mode="answer",
        answer=None,
        confidence=first,
        margin=first - second,
        abstained=False,
        probabilities=[
            LabelProbability(label=label, probability=probability)
            for label, probability in zip(question.labels, probabilities, strict=True)
        ],
        trace_id=None,
        reasoning=None,
        usage=usage,
        timings=Timings(queue_ms=0, answer_ms=milliseconds, total_ms=milliseconds),
    )
    return Result(index=0, answer=answer)
