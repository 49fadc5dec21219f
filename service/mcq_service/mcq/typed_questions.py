"""Answer typed questions about one input: a calibrated probability for every option of each.

The input is read once, and each question continues from it. Unless `debias` is none, a question with two options is
asked in both orders, so that no preference for a letter remains: predicates have no calibration of their own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from mcq_service.api.mcq.answer_schemas import Usage
from mcq_service.api.mcq.choices import Option
from mcq_service.api.problems import RequestTooLarge
from mcq_service.mcq.label_scoring import (
    SharedQuestion,
    debias_without_calibration,
    orders_of,
    shared_probabilities,
)
from mcq_service.mcq.service import MAX_REQUEST_CHARACTERS
from mcq_service.prompts import CHATML, about_stem, in_prompt_thread, render_about
from mcq_service.runtime.task_group import gather
from mcq_service.telemetry.gen_ai import TEXT_COMPLETION, span_attributes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_service.api.mcq.question_schemas import Debias
    from mcq_service.engine import SharedTexts, TextEngine, Tokens
    from mcq_service.mcq.calibration import Calibration
    from mcq_service.prompts import Forms, Prompt
    from mcq_service.scheduler import Admission
    from mcq_service.telemetry import Metrics, Tracing

MODE = "decide"
"""The mode in metrics."""


class TypedQuestion(NamedTuple):
    """A question about an input: its text, and the texts of its options in order, which differ."""

    text: str
    options: Sequence[str]


class TypedAnswers(NamedTuple):
    """The probabilities of each question's options, in order, and the tokens read. Shared tokens count once."""

    probabilities: list[list[float]]
    usage: Usage


class TypedQuestions:
    """Answers typed questions on one engine."""

    def __init__(
        self, texts: TextEngine, admission: Admission, *, model: str, debias: Debias, calibration: Calibration,
        metrics: Metrics, tracing: Tracing, forms: Forms = CHATML,
    ) -> None:  # fmt: skip
        """Answer on `texts`. `model` is the name in responses."""
        self._texts = texts
        self._admission = admission
        self.model = model
        self._debias = debias
        self._calibration = calibration
        self._form = forms.answer_form(calibration.prompt_digest)
        self._metrics = metrics
        self._tracing = tracing

    async def answer(self, state: str, questions: Sequence[TypedQuestion]) -> TypedAnswers:
        """Answer all questions.

        Raises RequestTooLarge, PromptTooLong, TooManyChoices, EngineFailed or SchedulerError.
        """
        started = time.monotonic()
        async with self._admission.deadline():
            # In a thread: there may be 100,000 options.
            asked, prompts = await in_prompt_thread(self._prompts, state, questions)
            shared = await self._texts.encode_shared(prompts)
            with self._admission.admit(shared.size, writes=False) as slot:
                with self._tracing.span("admit"):
                    await slot.turn()
                with shared.open(slot.share) as texts:
                    slot.watch(texts)
                    attributes = span_attributes(TEXT_COMPLETION, self.model, max_tokens=0)
                    with self._tracing.span("prefill", **attributes):
                        await texts.read_stem()
                        probabilities = await gather(
                            shared_probabilities(texts, each, calibration=self._calibration) for each in asked
                        )
        usage, seconds = _usage(texts), time.monotonic() - started
        self._metrics.completed(
            mode=MODE,
            operation=TEXT_COMPLETION,
            model=self.model,
            tokens=usage,
            seconds=seconds,
            first=seconds,
        )
        return TypedAnswers(probabilities, usage)

    def _prompts(
        self, state: str, questions: Sequence[TypedQuestion]
    ) -> tuple[list[SharedQuestion], list[Prompt]]:
        asked: list[SharedQuestion] = []
        prompts: list[Prompt] = []
        stem = about_stem(state)
        characters = 0
        for question in questions:
            count = len(question.options)
            debias = debias_without_calibration(count, self._debias)
            orders = orders_of(count, debias=debias, calibration=self._calibration)
            characters += len(orders) * (len(question.text) + sum(map(len, question.options)))
            if characters > MAX_REQUEST_CHARACTERS:
                raise RequestTooLarge(
                    f"The questions have more than {MAX_REQUEST_CHARACTERS} characters, counted once for each order "
                    "of the options. Send fewer questions at once."
                )
            labels = self._texts.labels(count)
            options = [Option(label, text) for label, text in zip(labels, question.options, strict=True)]
            asked.append(SharedQuestion(labels, debias, orders, len(prompts)))
            prompts += render_about(stem, question.text, options, self._form, orders=orders)
        return asked, prompts


def _usage(texts: SharedTexts) -> Usage:
    total: Tokens = texts.tokens
    read_again = total.cached - texts.stem.cached
    return Usage(
        prompt_tokens=total.prompt - read_again, cached_tokens=texts.stem.cached, completion_tokens=0
    )
