"""Answer one question with any number of right choices: judge each choice by itself.

The question is read once. Each choice continues from it, as a statement that is true or false, in both orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcq_service.api.mcq.question_schemas import SELECT_ALL_IN_MODE_REASON
from mcq_service.api.problems import InvalidField, InvalidQuestion
from mcq_service.mcq.decision import judge
from mcq_service.mcq.label_scoring import (
    SharedQuestion,
    debias_without_calibration,
    labelled,
    orders_of,
    shared_probabilities,
)
from mcq_service.mcq.session import Session
from mcq_service.prompts import in_prompt_thread, render_judgements
from mcq_service.runtime.task_group import gather

if TYPE_CHECKING:
    from mcq_service.api.mcq.answer_schemas import Answer, Decision
    from mcq_service.engine import SharedTexts
    from mcq_service.prompts import Prompt
    from mcq_service.scheduler import Admission, RequestPart

_VERDICTS = ["A", "B"]
"""The labels of true and false."""
_LABEL_TOKENS = 2
"""The number of tokens of a label and its comma."""
_NONE = "none"
"""What the model reads as its answer if no choice is right."""


@dataclass
class JudgingSession(Session):
    """One question with any number of right choices, and the state of its answer."""

    async def run(self, admission: Admission, part: RequestPart | None = None) -> Answer:
        """See Session. Raises InvalidQuestion in mode reason, too."""
        if self.options.mode == "reason":
            raise InvalidQuestion(
                f"{SELECT_ALL_IN_MODE_REASON}.",
                errors=[InvalidField(pointer="/select", detail=SELECT_ALL_IN_MODE_REASON)],
            )
        self.choices = labelled(self.question.options, self.texts)
        judged, prompts = await self._judgements()
        shared = await self.texts.encode_shared(prompts)
        self.keep(prompts[0], shared)
        size, reasoning = shared.size - shared.opening_size, None
        explanation_prompt = None
        if self.options.mode == "explain":
            explanation_prompt = await self.encode_explanation()
            size += explanation_prompt.size - explanation_prompt.opening_size + self._room
        async with self.turn(admission, size, part) as slot:
            with shared.open(slot.share) as texts:
                slot.watch(texts)
                decision = await self._judge(texts, judged)
            label = ", ".join(each.label for each in decision.selected or ()) or _NONE
            if explanation_prompt is not None:
                with explanation_prompt.open(slot.share) as text:
                    reasoning = await self.explain(text, label)
                    self.usage += text.tokens.usage
        return self.finish(decision, reasoning, label, [label])

    @property
    def _room(self) -> int:
        """The number of tokens for the labels of the selected choices and the reasoning."""
        return super()._room + _LABEL_TOKENS * len(self.choices)

    async def _judgements(self) -> tuple[list[SharedQuestion], list[Prompt]]:
        """Return a question with two options for each choice, and their prompts in each order."""
        debias = debias_without_calibration(2, self.options.debias)
        orders = orders_of(2, debias=debias, calibration=self.calibration)
        judged = [
            SharedQuestion(_VERDICTS, debias, orders, index * len(orders))
            for index in range(len(self.choices))
        ]
        # In a thread: there may be 255 choices.
        prompts = await in_prompt_thread(
            render_judgements, self.question, self.choices, self.letter_form, orders=orders,
            openings=self.openings,
        )  # fmt: skip
        return judged, prompts

    async def _judge(self, texts: SharedTexts, judged: list[SharedQuestion]) -> Decision:
        with self.tracing.span("prefill", **self.attributes()):
            await texts.read_stem()
            probabilities = await gather(
                shared_probabilities(texts, each, calibration=self.calibration) for each in judged
            )
        self.answered = self.clock()
        self.usage += texts.tokens.usage
        self.started_at = texts.started_at
        selection = judge(
            self.choices, [right for right, _ in probabilities], min_confidence=self.options.min_confidence
        )
        return self.decide(selection)
