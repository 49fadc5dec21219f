"""Answer one question: admit it, read it, score its choices, decide, write the reasoning."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from mcq_service.api.mcq.answer_schemas import Answer, Decision, NoneOfThese, ReasoningDelta, Timings, Usage
from mcq_service.engine import Tokens
from mcq_service.mcq.answer_text import output
from mcq_service.mcq.decision import Selection, decide
from mcq_service.mcq.escalation import TooUnsure
from mcq_service.mcq.label_scoring import choice_probabilities, labelled, orders_of
from mcq_service.prompts import render
from mcq_service.runtime.task_group import gather, task_group
from mcq_service.telemetry.gen_ai import TEXT_COMPLETION, span_attributes
from mcq_service.telemetry.tracing import current_trace_id
from mcq_service.yaml_output import REASONING_KEY, Line, document, parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import ExitStack

    from mcq_service.api.mcq.question_schemas import Debias, Mode, Option, Question
    from mcq_service.engine import EncodedPrompt, Share, SharedPrompts, Text, TextEngine
    from mcq_service.mcq.calibration import Calibration
    from mcq_service.prompts import Form, Forms, Opening, Openings, Prompt
    from mcq_service.scheduler import Admission, LanePart, Slot
    from mcq_service.telemetry import Tracing

_FORCED_TOKENS = 16  # more than ` B\nreasoning: "` takes


@dataclass(frozen=True)
class AnswerOptions:
    """How to answer a question: its own options, or the defaults.

    `reasoning_tokens` is a limit; `escalates` says whether another solver can be asked instead of abstaining, and
    `again` that the question was admitted before.
    """

    mode: Mode
    reasoning_tokens: int
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
class Session:
    """One question, and the state of its answer. `admitted` is the time when it began, by `clock`, in seconds.

    `openings` are those of its request; `kept` holds those of `prompts` until it is closed, after the answer.
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
    tokens: Tokens = field(default_factory=Tokens)
    choices: list[Option] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    opening_sizes: dict[Opening, int] = field(default_factory=dict)
    label_mass: float = 0.0
    begun: float | None = None
    answered: float = 0.0

    @property
    def labels(self) -> list[str]:
        """The labels of the choices."""
        return [option.label for option in self.choices]

    async def run(self, admission: Admission, part: LanePart | None = None) -> Answer:
        """Answer, alone or as a part of a batch.

        Raises PromptTooLong, TooManyChoices, EngineFailed, SchedulerError, or TooUnsure if the question may be
        escalated.
        """
        self.choices = labelled(self.question.offered, self.texts)
        prompt = self.render(self._form)
        room = 0 if self._explains_separately else self._room
        answer_prompt = await self.texts.encode(prompt, room=room)
        own = answer_prompt.size - answer_prompt.opening_size
        size = own + self._room
        if extra := len(orders_of(len(self.labels), debias=self._debias, calibration=self.calibration)) - 1:
            size += self.texts.shared_size(own, extra)
        self.keep(prompt, answer_prompt)
        explanation_prompt = None
        if self._explains_separately:
            explanation_prompt = await self.encode_explanation()
            size += explanation_prompt.size - explanation_prompt.opening_size
        async with self.turn(admission, size, part) as slot:
            with answer_prompt.open(slot.share) as text:
                slot.watch(text)
                try:
                    selection, decision, reasoning = await self._decide(text, slot.share)
                    label = self.labels[selection.best]
                    if explanation_prompt is None and self.options.mode == "explain":
                        reasoning = await self.explain(text, label)
                finally:
                    self.count(text.tokens)
                    self.begun = text.begun
            if explanation_prompt is not None:
                with explanation_prompt.open(slot.share) as text:
                    reasoning = await self.explain(text, label)
                    self.count(text.tokens)
        return self.finish(decision, reasoning, label, self.labels)

    @property
    def _room(self) -> int:
        """The number of tokens for the reasoning."""
        return 0 if self.options.mode == "answer" else self.options.reasoning_tokens + _FORCED_TOKENS

    def keep(self, prompt: Prompt, encoded: EncodedPrompt | SharedPrompts) -> None:
        """Keep a prompt's opening from the session's turn on."""
        if prompt.opening:
            self.prompts.append(prompt)
            self.opening_sizes[prompt.opening] = encoded.opening_size

    async def encode_explanation(self) -> EncodedPrompt:
        """Encode the prompt for reasoning after the answer, and keep its opening."""
        prompt = self.render(self.forms.answer_first)
        encoded = await self.texts.encode(prompt, room=self._room)
        self.keep(prompt, encoded)
        return encoded

    @asynccontextmanager
    async def turn(self, admission: Admission, size: int, part: LanePart | None) -> AsyncIterator[Slot]:
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

    @property
    def _form(self) -> Form:
        """The form of the prompt that asks for the letter."""
        return self.forms.reasoning_first if self.options.mode == "reason" else self.letter_form

    def render(self, form: Form, *, order: Sequence[int] | None = None) -> Prompt:
        """Render the question's prompt in a form."""
        writes = form == self.forms.reasoning_first or (
            form == self.forms.answer_first and self.options.mode == "explain"
        )
        return render(
            self.question, form, options=self.choices, order=order, openings=self.openings,
            language=self.question.language if writes else None,
        )  # fmt: skip

    @property
    def _explains_separately(self) -> bool:
        """True if the reasoning needs another prompt than the answer: most forms ask for a letter alone."""
        return self.options.mode == "explain" and self._form != self.forms.answer_first

    @property
    def _debias(self) -> Debias:
        return debias_in(self.options.mode, self.options.debias)

    async def _decide(self, text: Text, share: Share) -> tuple[Selection, Decision, str | None]:
        """Return the selection, the decision, and the reasoning if that comes before the answer."""
        reasoning = None
        if self.options.mode == "reason":
            reasoning = await self._write(text)
            text.force('"\nanswer:')
        with self.tracing.span("prefill", **self.attributes()):
            probabilities = await choice_probabilities(
                partial(self._scores, text, share),
                self.labels,
                debias=self._debias,
                calibration=self.calibration,
            )
            selection = decide(
                self.choices,
                probabilities,
                min_confidence=self.options.min_confidence,
                way_out=self.question.none_of_these,
            )
        self.answered = self.clock()
        decision = self._decision(selection)
        self.emit_decision(decision)
        return selection, decision, reasoning

    def emit_decision(self, decision: Decision) -> None:
        """Emit the decision. Raises TooUnsure instead if another solver can be asked."""
        if decision.abstained and self.options.escalates:
            raise TooUnsure(decision)
        self.emit(decision)

    async def explain(self, text: Text, label: str) -> str:
        """Write the reasoning after the answer."""
        text.force(f' {label}\n{REASONING_KEY}: "')
        return await self._write(text)

    async def _scores(self, text: Text, share: Share, orders: Sequence[Sequence[int]]) -> list[list[float]]:
        """Score the letters with the choices in each of these orders; `text` has them in their own order."""
        own = list(range(len(self.labels)))
        others = [order for order in orders if order != own]
        if not others:
            return [await self._own_scores(text)]
        if len(others) == len(orders):
            return await self._scores_of(others, share)
        async with task_group() as group:
            first = group.create_task(self._own_scores(text))
            rest = group.create_task(self._scores_of(others, share))
        return [first.result(), *rest.result()]

    async def _own_scores(self, text: Text) -> list[float]:
        """Score the labels with the choices in their own order."""
        if not self.question.none_of_these:
            return await text.score_labels(self.labels)
        scores, self.label_mass = await text.score_labels_and_mass(self.labels)
        return scores

    async def _scores_of(self, orders: Sequence[Sequence[int]], share: Share) -> list[list[float]]:
        shared = await self.texts.encode_shared([self.render(self._form, order=order) for order in orders])
        with shared.open(share) as texts:
            await texts.read_stem()
            scores = await gather(texts.score_labels(index, self.labels) for index in range(len(orders)))
        self.count(texts.tokens)
        return scores

    async def _write(self, text: Text) -> str:
        """Let the model write a line between forced quotes, until it closes the quote or reaches the limit."""
        line, shown = Line(), ""
        with self.tracing.span("decode", **self.attributes()):
            async for _ in text.write(line, limit=self.options.reasoning_tokens):
                settled = line.settled
                if len(settled) > len(shown):
                    self.emit(ReasoningDelta(delta=settled[len(shown) :]))
                    shown = settled
        if len(line.text) > len(shown):
            self.emit(ReasoningDelta(delta=line.text[len(shown) :]))
        return line.text

    def attributes(self) -> dict[str, str | int]:
        """Return the attributes of the spans in which the model reads or writes."""
        tokens = 0 if self.options.mode == "answer" else self.options.reasoning_tokens
        return span_attributes(TEXT_COMPLETION, self.model, max_tokens=tokens)

    def count(self, tokens: Tokens) -> None:
        """Count the tokens of a text."""
        self.tokens = Tokens(
            prompt=self.tokens.prompt + tokens.prompt,
            cached=self.tokens.cached + tokens.cached,
            completion=self.tokens.completion + tokens.completion,
        )

    def _decision(self, selection: Selection) -> Decision:
        return Decision(
            id=self.id,
            model=self.model,
            mode=self.options.mode,
            answer=selection.answer,
            confidence=selection.confidence,
            margin=selection.margin,
            abstained=selection.abstained,
            probabilities=selection.probabilities,
            none_of_these=self._none_of_these(selection),
            trace_id=current_trace_id(),
        )

    def _none_of_these(self, selection: Selection) -> NoneOfThese | None:
        if not self.question.none_of_these:
            return None
        label, probability = selection.probabilities[-1].label, selection.probabilities[-1].probability
        selected = not selection.abstained and selection.answer is None
        return NoneOfThese(
            label=label, probability=probability, selected=selected, label_mass=self.label_mass
        )

    def finish(self, decision: Decision, reasoning: str | None, label: str, labels: Sequence[str]) -> Answer:
        """Return the answer. `label` and the reasoning are the model's output; `labels` are those it may have."""
        with self.tracing.span("parse"):
            reasoning = parse(document(label, reasoning), labels).reasoning

        return Answer(
            **decision.model_dump(),
            reasoning=reasoning,
            output=output(self.question.response_format, decision, reasoning),
            usage=self.usage,
            timings=self.timings,
        )

    def abstention(self, decision: Decision) -> Answer:
        """Return the answer of an abstention without reasoning."""
        return Answer(
            **decision.model_dump(),
            reasoning=None,
            output=output(self.question.response_format, decision, None),
            usage=self.usage,
            timings=self.timings,
        )

    @property
    def usage(self) -> Usage:
        """The tokens until now."""
        return Usage(
            prompt_tokens=self.tokens.prompt,
            completion_tokens=self.tokens.completion,
            cached_tokens=self.tokens.cached,
        )

    @property
    def timings(self) -> Timings:
        """The times until now."""

        def ms(until: float) -> float:
            return round(1000 * (until - self.admitted), 3)

        return Timings(
            queue_ms=ms(self.admitted if self.begun is None else self.begun),
            answer_ms=ms(self.answered),
            total_ms=ms(self.clock()),
        )
