"""One question and the state of its answer, and the steps that all kinds of answers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcq_service.api.mcq.answer_schemas import Answer, Decision, ReasoningDelta, Timings, Usage
from mcq_service.engine import Tokens
from mcq_service.mcq.answer_text import output
from mcq_service.mcq.escalation import TooUnsure
from mcq_service.prompts import in_prompt_thread, render_orders
from mcq_service.telemetry.gen_ai import TEXT_COMPLETION, span_attributes
from mcq_service.telemetry.tracing import current_trace_id
from mcq_service.yaml_output import REASONING_KEY, Line, document, parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import ExitStack

    from mcq_service.api.mcq.answer_schemas import NoneOfThese
    from mcq_service.api.mcq.choices import Option
    from mcq_service.api.mcq.question_schemas import Debias, Mode, Question
    from mcq_service.engine import EncodedPrompt, SharedPrompts, Text, TextEngine
    from mcq_service.mcq.calibration import Calibration
    from mcq_service.mcq.decision import Selection
    from mcq_service.prompts import Form, Forms, Opening, Openings, Prompt
    from mcq_service.scheduler import Admission, RequestPart, Slot
    from mcq_service.telemetry import Tracing

_FORCED_TOKENS = 16  # more than ` B\nreasoning: "` takes


@dataclass(frozen=True)
class AnswerOptions:
    """How to answer a question: its own options, or the service's defaults.

    `escalates` says whether another solver can be asked instead of abstaining, and `again` that the question was
    admitted before.
    """

    mode: Mode
    max_reasoning_tokens: int
    debias: Debias
    min_confidence: float
    escalates: bool = False
    again: bool = False


def debias_in(mode: Mode, debias: Debias) -> Debias:
    """Return how the letters' scores are debiased: not at all after reasoning, which names a letter.

    The calibration was fitted to answers that come before any reasoning.
    """
    return "none" if mode == "reason" else debias


@dataclass
class Session(ABC):
    """One question, and the state of its answer. `admitted` is the time when it began, by `clock`, in seconds.

    `openings` are shared by the whole request. `kept` keeps the openings of `prompts`; the caller closes it after the
    answer.
    """

    id: str
    question: Question
    options: AnswerOptions
    model: str
    texts: TextEngine
    calibration: Calibration
    forms: Forms
    tracing: Tracing
    clock: Callable[[], float]
    emit: Callable[[Decision | ReasoningDelta], None]
    openings: Openings
    kept: ExitStack
    admitted: float
    usage: Usage = field(default_factory=lambda: Tokens().usage)
    choices: list[Option] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    opening_sizes: dict[Opening, int] = field(default_factory=dict)
    started_at: float | None = None
    answered: float = 0.0

    @abstractmethod
    async def run(self, admission: Admission, part: RequestPart | None = None) -> Answer:
        """Answer, alone or as a part of a batch.

        Raises PromptTooLong, TooManyChoices, EngineFailed, SchedulerError, or TooUnsure if the question may be
        escalated.
        """

    @property
    def _room(self) -> int:
        """The number of tokens for the reasoning."""
        return 0 if self.options.mode == "answer" else self.options.max_reasoning_tokens + _FORCED_TOKENS

    def keep(self, prompt: Prompt, encoded: EncodedPrompt | SharedPrompts) -> None:
        """Keep a prompt's opening from the session's turn on."""
        if prompt.opening:
            self.prompts.append(prompt)
            self.opening_sizes[prompt.opening] = encoded.opening_size

    async def encode_explanation(self) -> EncodedPrompt:
        """Encode the prompt for reasoning after the answer, and keep its opening."""
        prompt = await self.render(self.forms.answer_first)
        encoded = await self.texts.encode(prompt, room=self._room)
        self.keep(prompt, encoded)
        return encoded

    @asynccontextmanager
    async def turn(self, admission: Admission, size: int, part: RequestPart | None) -> AsyncIterator[Slot]:
        """Wait for the session's turn, with `size` tokens beside its openings, and hold it."""
        unsure = None
        with admission.admit(
            size, writes=self.options.mode != "answer", part=part, openings=self.opening_sizes,
            again=self.options.again,
        ) as slot:  # fmt: skip
            with self.tracing.span("admit"):
                await slot.turn()
            self.kept.enter_context(self.texts.keep_openings(self.prompts, slot.share))
            try:
                yield slot
            except TooUnsure as error:
                unsure = error  # the turn has ended as any other
        if unsure is not None:
            raise unsure

    @property
    def letter_form(self) -> Form:
        """The form of the prompt that asks for a letter first."""
        return self.forms.answer_form(self.calibration.prompt_digest)

    async def render(self, form: Form) -> Prompt:
        """Render the question's prompt in a form."""
        [prompt] = await self.render_orders(form, [range(len(self.choices))])
        return prompt

    async def render_orders(self, form: Form, orders: Sequence[Sequence[int]]) -> list[Prompt]:
        """Render the question's prompt in a form, with the choices in each order."""
        writes = form == self.forms.reasoning_first or (
            form == self.forms.answer_first and self.options.mode == "explain"
        )
        # In a thread: there may be 255 choices in as many orders, or long examples.
        return await in_prompt_thread(
            render_orders, self.question, form, options=self.choices, orders=orders, openings=self.openings,
            language=self.question.language if writes else None,
        )  # fmt: skip

    def decide(self, selection: Selection, none_of_these: NoneOfThese | None = None) -> Decision:
        """Emit the decision and return it. Raises TooUnsure instead if another solver can be asked."""
        decision = Decision(
            id=self.id,
            model=self.model,
            mode=self.options.mode,
            none_of_these=none_of_these,
            trace_id=current_trace_id(),
            **selection._asdict(),
        )
        if decision.abstained and self.options.escalates:
            raise TooUnsure(decision)
        self.emit(decision)
        return decision

    async def explain(self, text: Text, label: str) -> str:
        """Write the reasoning after the answer."""
        text.force(f' {label}\n{REASONING_KEY}: "')
        return (await self.write(text)).text

    async def write(self, text: Text) -> Line:
        """Let the model write a line after a forced quote, until it closes the quote or reaches the limit."""
        line, shown = Line(), ""
        with self.tracing.span("decode", **self.attributes()):
            async for _ in text.write(line, limit=self.options.max_reasoning_tokens):
                settled = line.settled
                if len(settled) > len(shown):
                    self.emit(ReasoningDelta(delta=settled[len(shown) :]))
                    shown = settled
        if len(line.text) > len(shown):
            self.emit(ReasoningDelta(delta=line.text[len(shown) :]))
        return line

    def attributes(self) -> dict[str, str | int]:
        """Return the attributes of the spans in which the model reads or writes."""
        tokens = 0 if self.options.mode == "answer" else self.options.max_reasoning_tokens
        return span_attributes(TEXT_COMPLETION, self.model, max_tokens=tokens)

    def finish(self, decision: Decision, reasoning: str | None, label: str, labels: Sequence[str]) -> Answer:
        """Return the answer. `label` and the reasoning are the model's output; `labels` are those it may have."""
        with self.tracing.span("parse"):
            reasoning = parse(document(label, reasoning), labels)
        return self.answer(decision, reasoning)

    def answer(self, decision: Decision, reasoning: str | None) -> Answer:
        """Return the answer with this decision and reasoning, and the tokens and times until now."""
        return Answer(
            **decision.model_dump(),
            reasoning=reasoning,
            output=output(self.question.response_format, decision, reasoning),
            usage=self.usage,
            timings=self.timings,
        )

    @property
    def timings(self) -> Timings:
        """The times until now."""

        def ms(until: float) -> float:
            return round(1000 * (until - self.admitted), 3)

        return Timings(
            queue_ms=ms(self.admitted if self.started_at is None else self.started_at),
            answer_ms=ms(self.answered),
            total_ms=ms(self.clock()),
        )
