"""Ask this replica's model first, and another solver if the confidence is below the minimum."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcq_service.api.mcq.answer_schemas import Answer, Decision, Escalated, ReasoningDelta
from mcq_service.mcq.escalation import EscalationFailed, TooUnsure

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_service.api.mcq.answer_schemas import Timings, Usage
    from mcq_service.api.mcq.question_schemas import Question
    from mcq_service.mcq.escalation import Escalation
    from mcq_service.mcq.session import AnswerOptions, Session
    from mcq_service.scheduler import Admission, RequestPart
    from mcq_service.telemetry import Metrics, Tracing

    Event = Decision | ReasoningDelta | Answer

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cascade:
    """Two models, one after the other."""

    escalation: Escalation
    metrics: Metrics
    tracing: Tracing

    async def answer(
        self, session: Callable[..., Session], options: AnswerOptions, emit: Callable[[Event], None],
        admission: Admission, part: RequestPart | None, kept: ExitStack,
    ) -> tuple[Answer, Usage]:  # fmt: skip
        """Return the answer, and the tokens of this replica's own model; `session` creates a session for the question.

        `kept` holds the openings of an answer by this replica's model. The first session ends before the other solver
        is asked, so that its memory is free for other questions. If the other solver gives no answer, the service
        abstains; to write a reasoning, it then reads the question again.
        """
        with ExitStack() as openings:
            first = session(
                options=replace(options, escalates=True), emit=_hold_until_decision(emit), kept=openings
            )
            try:
                answer = await first.run(admission, part)
            except TooUnsure as unsure:
                decision = unsure.decision
            else:
                kept.push(openings.pop_all())
                return answer, answer.usage
        try:
            with self.tracing.span("escalate", **{"server.address": self.escalation.name}):
                answer = await self.escalation.answer(
                    _with_options(first.question, options),
                    seconds=_time_for_another(first, admission.deadline_seconds),
                )
        except EscalationFailed as error:
            _log.warning("%s", error)
            self.metrics.escalation_failed()
            if options.mode == "answer":
                emit(decision)
                return first.answer(decision, None), first.usage
            answer = await session(options=replace(options, again=True), emit=emit, kept=kept).run(
                admission, part
            )
            usage = first.usage + answer.usage
            # The first reading ended the wait in the queue.
            timings = answer.timings.model_copy(update={"queue_ms": first.timings.queue_ms})
            return answer.model_copy(update={"usage": usage, "timings": timings}), usage
        answer = escalated(
            answer, first=decision, by=self.escalation.name, usage=first.usage, timings=first.timings
        )
        self.metrics.escalated(answer)
        for event in _events(answer):
            emit(event)
        return answer, first.usage


def escalated(answer: Answer, *, first: Decision, by: str, usage: Usage, timings: Timings) -> Answer:
    """Return the other solver's answer as this replica's answer to the client.

    `first` is the decision with too little confidence, `by` the other solver. `usage` is the first model's, and
    `timings` are those from admission until now.
    """
    after = answer.timings.total_ms - answer.timings.answer_ms
    best = max(range(len(first.probabilities)), key=lambda index: first.probabilities[index].probability)
    return answer.model_copy(
        update={
            "id": first.id,
            "trace_id": first.trace_id,
            "escalation": Escalated(
                answered_by=by,
                first_model=first.model,
                # The other tokenizer may label more than 26 choices differently.
                first_label=answer.probabilities[best].label if first.selected is None else None,
                first_confidence=first.confidence,
            ),
            "usage": usage + answer.usage,
            "timings": timings.model_copy(update={"answer_ms": round(max(0.0, timings.total_ms - after), 3)}),
        }
    )


def _time_for_another(first: Session, deadline: float) -> float:
    """Return how many seconds the other solver has: half of the deadline, or less if the first reading took long.

    That leaves time to read the question again, as long as the first reading took.
    """
    elapsed = first.clock() - first.admitted
    return min(deadline / 2, deadline - 2 * elapsed)


def _with_options(question: Question, options: AnswerOptions) -> Question:
    """Return the question with the options that this service would use, except for its own model's debiasing."""
    return question.model_copy(
        update={
            "mode": options.mode,
            "max_reasoning_tokens": options.max_reasoning_tokens,
            "min_confidence": options.min_confidence,
        }
    )


def _hold_until_decision(emit: Callable[[Event], None]) -> Callable[[Event], None]:
    """Hold events back until the decision: another solver may answer, with another reasoning."""
    held: list[Event] | None = []

    def emit_held(event: Event) -> None:
        nonlocal held
        if held is None:
            emit(event)
            return
        held.append(event)
        if isinstance(event, Decision):
            for each in held:
                emit(each)
            held = None

    return emit_held


def _events(answer: Answer) -> list[Event]:
    """Return the events before the answer itself, in the order of its mode."""
    decision = Decision.model_validate(answer.model_dump(include=set(Decision.model_fields)))
    if answer.reasoning is None:
        return [decision]
    reasoning = ReasoningDelta(delta=answer.reasoning)
    return [reasoning, decision] if answer.mode == "reason" else [decision, reasoning]
