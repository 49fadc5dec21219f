"""Answer one question: admit it, read it, score its choices, decide, write the reasoning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcq_service.api.mcq.schemas import Answer, Decision, ReasoningDelta, Timings, Usage
from mcq_service.engine import Tokens
from mcq_service.mcq.calibration import second_order
from mcq_service.mcq.decision import Selection, decide, mean_over_rotations, rotations, softmax
from mcq_service.prompts import ANSWER_FIRST, REASONING_FIRST, Form, render
from mcq_service.runtime.task_group import task_group
from mcq_service.telemetry.tracing import current_trace_id
from mcq_service.yaml_output import REASONING_KEY, Line, document, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcq_service.api.mcq.schemas import Debias, Mode, Question
    from mcq_service.engine import Share, Text, TextEngine
    from mcq_service.mcq.calibration import Calibration
    from mcq_service.scheduler import Admission, LanePart
    from mcq_service.telemetry import Tracing

_FORCED_TOKENS = 16  # more than ` B\nreasoning: "` takes


@dataclass(frozen=True)
class AnswerOptions:
    """How to answer a question: its own options, or the defaults. `reasoning_tokens` is a limit."""

    mode: Mode
    reasoning_tokens: int
    debias: Debias
    min_confidence: float


def uses_rotations(debias: Debias, mode: Mode) -> bool:
    """True if a question is asked in every rotation of its choices. Never after reasoning, which names a letter."""
    return debias == "rotations" and mode != "reason"


@dataclass
class Session:
    """One question, and the state of its answer. `clock` is in seconds."""

    id: str
    question: Question
    options: AnswerOptions
    model: str
    texts: TextEngine
    calibration: Calibration
    tracing: Tracing
    clock: Callable[[], float]
    emit: Callable[[Decision | ReasoningDelta], None]
    tokens: Tokens = field(default_factory=Tokens)
    admitted: float = 0.0
    begun: float | None = None
    answered: float = 0.0

    @property
    def labels(self) -> list[str]:
        """The letters of the choices."""
        return [option.label for option in self.question.options]

    async def run(self, admission: Admission, part: LanePart | None = None) -> Answer:
        """Answer, alone or as a part of a batch. Raises PromptTooLong, EngineFailed or SchedulerError."""
        self.admitted = self.clock()
        writes = self.options.mode != "answer"
        room = self.options.reasoning_tokens + _FORCED_TOKENS if writes else 0
        answer_prompt = await self.texts.encode(
            render(self.question, self._form), room=0 if self._explains_separately else room
        )
        size, explanation_prompt = answer_prompt.size + room, None
        if self._extra_orders:
            size += self.texts.score_size(answer_prompt.size, self._extra_orders)
        if self._explains_separately:
            explanation_prompt = await self.texts.encode(render(self.question, ANSWER_FIRST), room=room)
            size += explanation_prompt.size
        with admission.admit(size, writes=writes, part=part) as slot:
            with self.tracing.span("admit"):
                await slot.turn()
            with answer_prompt.open(slot.share) as text:
                slot.watch(text)
                selection, decision, reasoning = await self._decide(text, slot.share)
                if explanation_prompt is None and self.options.mode == "explain":
                    reasoning = await self._explain(text, selection)
                self._count(text.tokens)
                self.begun = text.begun
            if explanation_prompt is not None:
                with explanation_prompt.open(slot.share) as text:
                    reasoning = await self._explain(text, selection)
                    self._count(text.tokens)
        with self.tracing.span("parse"):
            label = self.question.options[selection.best].label
            parsed = parse(document(label, reasoning), self.labels)
        return self._finish(decision, parsed.reasoning)

    @property
    def _form(self) -> Form:
        """The form of the prompt that asks for the letter."""
        return REASONING_FIRST if self.options.mode == "reason" else self.calibration.form

    @property
    def _explains_separately(self) -> bool:
        """True if the reasoning needs another prompt than the answer: most forms ask for a letter alone."""
        return self.options.mode == "explain" and self._form != ANSWER_FIRST

    @property
    def _uses_calibration(self) -> bool:
        """True if the calibration applies: it was fitted to answers that come before any reasoning."""
        return self.options.debias != "none" and self.options.mode != "reason"

    @property
    def _extra_orders(self) -> int:
        """The number of further orders of the choices that the question may be asked in."""
        count = len(self.labels)
        if uses_rotations(self.options.debias, self.options.mode):
            return count - 1
        return int(self._uses_calibration and self.calibration.has_second_order(count))

    async def _decide(self, text: Text, share: Share) -> tuple[Selection, Decision, str | None]:
        """Return the selection, the decision, and the reasoning if that comes before the answer."""
        reasoning = None
        if self.options.mode == "reason":
            reasoning = await self._write(text)
            text.force('"\nanswer:')
        with self.tracing.span("prefill", **self._attributes()):
            selection = decide(
                self.question.options,
                await self._probabilities(text, share),
                min_confidence=self.options.min_confidence,
            )
        self.answered = self.clock()
        decision = self._decision(selection)
        self.emit(decision)
        return selection, decision, reasoning

    async def _explain(self, text: Text, selection: Selection) -> str:
        """Write the reasoning after the answer."""
        text.force(f' {self.question.options[selection.best].label}\n{REASONING_KEY}: "')
        return await self._write(text)

    async def _probabilities(self, text: Text, share: Share) -> list[float]:
        """Return a probability for each choice; they sum to 1."""
        if uses_rotations(self.options.debias, self.options.mode):
            async with task_group() as group:
                scoring = group.create_task(text.score_labels(self.labels))
                others = group.create_task(self._scores(rotations(len(self.labels))[1:], share))
            return self.calibration.apply_to_rotations(
                mean_over_rotations([scoring.result(), *others.result()])
            )
        scores = await text.score_labels(self.labels)
        if not self._uses_calibration:
            return softmax(scores)
        probabilities = self.calibration.apply(scores, self.labels)
        if not self.calibration.needs_second_order(probabilities):
            return probabilities
        [second] = await self._scores([second_order(len(self.labels))], share)
        return self.calibration.apply_to_both_orders(scores, second, self.labels)

    async def _scores(self, orders: Sequence[Sequence[int]], share: Share) -> list[list[float]]:
        """Score the letters with the choices in each of these orders."""
        prompts = [render(self.question, self._form, order=order) for order in orders]
        scores, tokens = await self.texts.score(prompts, self.labels, share=share)
        self._count(tokens)
        return scores

    async def _write(self, text: Text) -> str:
        """Let the model write a line between forced quotes, until it closes the quote or reaches the limit."""
        line, shown = Line(), ""
        with self.tracing.span("decode", **self._attributes()):
            async for _ in text.write(line, limit=self.options.reasoning_tokens):
                settled = line.settled
                if len(settled) > len(shown):
                    self.emit(ReasoningDelta(delta=settled[len(shown) :]))
                    shown = settled
        if len(line.text) > len(shown):
            self.emit(ReasoningDelta(delta=line.text[len(shown) :]))
        return line.text

    def _attributes(self) -> dict[str, str | int]:
        """Return the span's attributes, by OpenTelemetry's names."""
        return {
            "gen_ai.operation.name": "text_completion",
            "gen_ai.request.model": self.model,
            "gen_ai.request.max_tokens": self.options.reasoning_tokens
            if self.options.mode != "answer"
            else 0,
        }

    def _count(self, tokens: Tokens) -> None:
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
            trace_id=current_trace_id(),
        )

    def _finish(self, decision: Decision, reasoning: str | None) -> Answer:
        def ms(until: float) -> float:
            return round(1000 * (until - self.admitted), 3)

        return Answer(
            **decision.model_dump(),
            reasoning=reasoning,
            usage=Usage(
                prompt_tokens=self.tokens.prompt,
                completion_tokens=self.tokens.completion,
                cached_tokens=self.tokens.cached,
            ),
            timings=Timings(
                queue_ms=ms(self.admitted if self.begun is None else self.begun),
                answer_ms=ms(self.answered),
                total_ms=ms(self.clock()),
            ),
        )
