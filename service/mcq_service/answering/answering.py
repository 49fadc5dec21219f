"""Answer a question: probabilities of the letters first, then, in mode explain, the reasoning for that answer."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcq_service.engines import PromptTooLong
from mcq_service.parsing import REASONING_KEY, Line, Parsed, document, parse
from mcq_service.problems import InvalidQuestion
from mcq_service.prompts import render
from mcq_service.protocol import Answer, Choice, InvalidField, LabelProbability, Mode, Timings, Usage
from mcq_service.telemetry import tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context

    from mcq_service.engines import Engine
    from mcq_service.engines import Sequence as Text
    from mcq_service.protocol import Question
    from mcq_service.scheduling import Scheduler, Turns
    from mcq_service.telemetry import Metrics, Tracing

_FORCED_TOKENS = 16  # what ` B\nreasoning: "` may take, generously


@dataclass(frozen=True)
class Defaults:
    """What a question that does not say gets."""

    mode: Mode
    max_reasoning_tokens: int
    deadline_seconds: float


@dataclass
class _Draft:
    """What the engine's thread found."""

    parsed: Parsed
    probabilities: list[float]
    usage: Usage
    started: float
    answered: float


class Answering:
    """Answers questions by one scheduler."""

    def __init__(
        self, scheduler: Scheduler, *, model: str, defaults: Defaults, metrics: Metrics, tracing_: Tracing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`model` is the name responses carry; `clock` is in seconds."""
        self._scheduler = scheduler
        self._model = model
        self._defaults = defaults
        self._metrics = metrics
        self._tracing = tracing_
        self._clock = clock

    @property
    def default_mode(self) -> Mode:
        """The mode of a question that names none."""
        return self._defaults.mode

    async def answer(self, question: Question) -> Answer:
        """Answer one question. Raises a ProblemError that says why it could not be."""
        mode = question.mode or self._defaults.mode
        limit = question.max_reasoning_tokens or self._defaults.max_reasoning_tokens
        tokens = limit if mode == "explain" else 0
        admitted, context = self._clock(), tracing.current()
        since_ns = time.time_ns()
        try:
            draft = await self._scheduler.run(
                lambda engine: self._turns(engine, question, tokens, context, since_ns),
                seconds=self._defaults.deadline_seconds,
                single_step=not tokens,
            )
        except PromptTooLong as error:
            field = InvalidField(pointer="/question", detail=str(error))
            raise InvalidQuestion(f"Shorten the question. {error}", errors=[field]) from error  # noqa: EM102
        return self._finish(question, draft, mode=mode, admitted=admitted)

    def _turns(
        self, engine: Engine[Any], question: Question, tokens: int, context: Context, since_ns: int
    ) -> Turns[_Draft]:
        """The engine's part: yields between its steps."""
        labels = [option.label for option in question.options]
        started = self._clock()
        self._tracing.waited("admit", context, since_ns=since_ns)
        prompt = render(question)
        with self._tracing.span("prefill", context, **{"gen_ai.request.model": self._model}):
            text = engine.start(*prompt, room=tokens + _FORCED_TOKENS)
            probabilities = engine.probabilities(text, labels)
        answered = self._clock()
        label = labels[max(range(len(labels)), key=probabilities.__getitem__)]
        reasoning = None
        if tokens:
            yield
            with self._tracing.span("decode", context, **{"gen_ai.request.max_tokens": tokens}):
                reasoning = yield from _reason(engine, text, label, tokens)
        with self._tracing.span("parse", context):
            parsed = parse(document(label, reasoning), labels)
        usage = Usage(
            prompt_tokens=text.prompt_tokens,
            completion_tokens=text.completion_tokens,
            cached_tokens=text.cached_tokens,
        )
        return _Draft(parsed, probabilities, usage, started, answered)

    def _finish(self, question: Question, draft: _Draft, *, mode: Mode, admitted: float) -> Answer:
        labels = [option.label for option in question.options]
        index = labels.index(draft.parsed.label)
        best, second = _two_largest(draft.probabilities)
        total, answered = self._clock() - admitted, draft.answered - admitted
        trace_id = tracing.current_trace_id()
        self._metrics.answered(
            mode=mode, seconds=total, answer_seconds=answered, confidence=best, usage=draft.usage,
            trace_id=trace_id,
        )  # fmt: skip
        return Answer(
            id=f"mcq-{uuid.uuid4().hex}",
            model=self._model,
            mode=mode,
            answer=Choice(label=labels[index], index=index, text=question.options[index].text),
            confidence=best,
            margin=best - second,
            probabilities=[
                LabelProbability(label=label, probability=probability)
                for label, probability in zip(labels, draft.probabilities, strict=True)
            ],
            reasoning=draft.parsed.reasoning,
            usage=draft.usage,
            timings=Timings(
                queue_ms=round(1000 * (draft.started - admitted), 3),
                answer_ms=round(1000 * answered, 3),
                total_ms=round(1000 * total, 3),
            ),
            trace_id=trace_id,
        )


def _reason(engine: Engine[Any], text: Text, label: str, tokens: int) -> Turns[str]:
    """The model's own line after forced keys and quotes; closed by the model, or by the bound."""
    engine.force(text, f' {label}\n{REASONING_KEY}: "')
    line = Line()
    for _ in range(tokens):
        piece = engine.decode(text)
        if piece is None:
            break
        line.feed(piece)
        if line.closed:
            break
        yield
    return line.text


def _two_largest(values: Sequence[float]) -> tuple[float, float]:
    first, second, *_ = sorted(values, reverse=True)
    return first, second
