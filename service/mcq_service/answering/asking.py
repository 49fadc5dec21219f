"""One question on its way: admitted, read, scored, decided, explained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcq_service.answering.calibration import second_order
from mcq_service.answering.deciding import Decided, decide, rotations, softmax, unrotated
from mcq_service.api.mcq.schemas import Answer, Decision, ReasoningDelta, Timings, Usage
from mcq_service.engine import Tokens
from mcq_service.prompts import ANSWER_FIRST, REASONING_FIRST, Form, render
from mcq_service.runtime.task_group import task_group
from mcq_service.telemetry.tracing import current_trace_id
from mcq_service.yaml_output import REASONING_KEY, Line, document, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcq_service.answering.calibration import Calibration
    from mcq_service.api.mcq.schemas import Debias, Mode, Question
    from mcq_service.engine import Share, Text
    from mcq_service.engine import TextEngine as Texts
    from mcq_service.scheduler import Admission, LanePart
    from mcq_service.telemetry import Tracing

_FORCED_TOKENS = 16  # what ` B\nreasoning: "` may take, generously


@dataclass(frozen=True)
class Wish:
    """How a question is to be answered: what it says, or the defaults; `reasoning_tokens` is a limit."""

    mode: Mode
    reasoning_tokens: int
    debias: Debias
    min_confidence: float


def rotates(debias: Debias, mode: Mode) -> bool:
    """Whether a question is asked in every rotation of its choices; not after reasoning, which names a letter."""
    return debias == "rotations" and mode != "reason"


@dataclass
class Asking:
    """One question, and what answers it; `clock` is in seconds."""

    id: str
    question: Question
    wish: Wish
    model: str
    texts: Texts
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
        """The letters that the choices are offered under."""
        return [option.label for option in self.question.options]

    async def run(self, admission: Admission, part: LanePart | None = None) -> Answer:
        """Answer, as a part of a batch or alone. Raises PromptTooLong, EngineFailed, or a ProblemError."""
        self.admitted = self.clock()
        writes = self.wish.mode != "answer"
        room = self.wish.reasoning_tokens + _FORCED_TOKENS if writes else 0
        decided_on = await self.texts.encode(
            render(self.question, self._form), room=0 if self._explains_apart else room
        )
        size, explained_on = decided_on.size + room, None
        if self._more_orders:
            size += self.texts.score_size(decided_on.size, self._more_orders)
        if self._explains_apart:
            explained_on = await self.texts.encode(render(self.question, ANSWER_FIRST), room=room)
            size += explained_on.size
        with admission.admit(size, writes=writes, part=part) as slot:
            with self.tracing.span("admit"):
                await slot.turn()
            with decided_on.open(slot.share) as text:
                slot.watch(text)
                decided, decision, reasoning = await self._decide(text, slot.share)
                if explained_on is None and self.wish.mode == "explain":
                    reasoning = await self._explain(text, decided)
                self._count(text.tokens)
                self.begun = text.begun
            if explained_on is not None:
                with explained_on.open(slot.share) as text:
                    reasoning = await self._explain(text, decided)
                    self._count(text.tokens)
        with self.tracing.span("parse"):
            label = self.question.options[decided.best].label
            parsed = parse(document(label, reasoning), self.labels)
        return self._finish(decision, parsed.reasoning)

    @property
    def _form(self) -> Form:
        """What the letter is asked for in."""
        return REASONING_FIRST if self.wish.mode == "reason" else self.calibration.form

    @property
    def _explains_apart(self) -> bool:
        """Whether the reasoning needs another text than the answer: most forms have the model say a letter alone."""
        return self.wish.mode == "explain" and self._form != ANSWER_FIRST

    @property
    def _calibrated(self) -> bool:
        """What was fitted is of answers that come first."""
        return self.wish.debias != "none" and self.wish.mode != "reason"

    @property
    def _more_orders(self) -> int:
        """In how many orders of its choices the question may be asked, beside their own."""
        count = len(self.labels)
        if rotates(self.wish.debias, self.wish.mode):
            return count - 1
        return int(self._calibrated and self.calibration.may_ask_again(count))

    async def _decide(self, text: Text, share: Share) -> tuple[Decided, Decision, str | None]:
        """The answer, and the reasoning where that comes before it."""
        reasoning = None
        if self.wish.mode == "reason":
            reasoning = await self._write(text)
            text.force('"\nanswer:')
        with self.tracing.span("prefill", **self._attributes()):
            decided = decide(
                self.question.options,
                await self._probabilities(text, share),
                min_confidence=self.wish.min_confidence,
            )
        self.answered = self.clock()
        decision = self._decision(decided)
        self.emit(decision)
        return decided, decision, reasoning

    async def _explain(self, text: Text, decided: Decided) -> str:
        """The reasoning for an answer that was given."""
        text.force(f' {self.question.options[decided.best].label}\n{REASONING_KEY}: "')
        return await self._write(text)

    async def _probabilities(self, text: Text, share: Share) -> list[float]:
        """One for each choice; they sum to 1."""
        if rotates(self.wish.debias, self.wish.mode):
            async with task_group() as group:
                scoring = group.create_task(text.letters(self.labels))
                others = group.create_task(self._scores(rotations(len(self.labels))[1:], share))
            return self.calibration.tempered(unrotated([scoring.result(), *others.result()]))
        scores = await text.letters(self.labels)
        if not self._calibrated:
            return softmax(scores)
        probabilities = self.calibration.apply(scores, self.labels)
        if not self.calibration.asks_again(probabilities):
            return probabilities
        [again] = await self._scores([second_order(len(self.labels))], share)
        return self.calibration.apply_both(scores, again, self.labels)

    async def _scores(self, orders: Sequence[Sequence[int]], share: Share) -> list[list[float]]:
        """The letters' scores when the choices are offered in each of these orders."""
        prompts = [render(self.question, self._form, order=order) for order in orders]
        scores, tokens = await self.texts.score(prompts, self.labels, share=share)
        self._count(tokens)
        return scores

    async def _write(self, text: Text) -> str:
        """The model's own line between forced quotes; closed by the model, or by the bound."""
        line, shown = Line(), ""
        with self.tracing.span("decode", **self._attributes()):
            async for _ in text.write(line, limit=self.wish.reasoning_tokens):
                settled = line.settled
                if len(settled) > len(shown):
                    self.emit(ReasoningDelta(delta=settled[len(shown) :]))
                    shown = settled
        if len(line.text) > len(shown):
            self.emit(ReasoningDelta(delta=line.text[len(shown) :]))
        return line.text

    def _attributes(self) -> dict[str, str | int]:
        """OpenTelemetry's names for what a model is asked."""
        return {
            "gen_ai.operation.name": "text_completion",
            "gen_ai.request.model": self.model,
            "gen_ai.request.max_tokens": self.wish.reasoning_tokens if self.wish.mode != "answer" else 0,
        }

    def _count(self, tokens: Tokens) -> None:
        self.tokens = Tokens(
            prompt=self.tokens.prompt + tokens.prompt,
            cached=self.tokens.cached + tokens.cached,
            completion=self.tokens.completion + tokens.completion,
        )

    def _decision(self, decided: Decided) -> Decision:
        return Decision(
            id=self.id,
            model=self.model,
            mode=self.wish.mode,
            answer=decided.answer,
            confidence=decided.confidence,
            margin=decided.margin,
            abstained=decided.abstained,
            probabilities=decided.probabilities,
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
