"""Answer one question with one right choice: score the letters of its choices, decide, write the reasoning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mcq_service.api.mcq.answer_schemas import NoneOfThese
from mcq_service.mcq.decision import decide
from mcq_service.mcq.label_scoring import choice_probabilities, labelled, orders_of
from mcq_service.mcq.session import Session, debias_in
from mcq_service.runtime.task_group import gather, task_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_service.api.mcq.answer_schemas import Answer, Decision
    from mcq_service.api.mcq.question_schemas import Debias
    from mcq_service.engine import Share, Text
    from mcq_service.mcq.decision import Selection
    from mcq_service.prompts import Form
    from mcq_service.scheduler import Admission, RequestPart


@dataclass
class ChoosingSession(Session):
    """One question with one right choice, and the state of its answer."""

    label_mass: float = 0.0

    @property
    def labels(self) -> list[str]:
        """The labels of the choices."""
        return [option.label for option in self.choices]

    async def run(self, admission: Admission, part: RequestPart | None = None) -> Answer:
        """See Session."""
        self.choices = labelled(self.question.offered, self.texts)
        prompt = await self.render(self._form)
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
                    decision, reasoning = await self._decide(text, slot.share)
                    label = max(decision.probabilities, key=lambda each: each.probability).label
                    if explanation_prompt is None and self.options.mode == "explain":
                        reasoning = await self.explain(text, label)
                finally:
                    self.usage += text.tokens.usage
                    self.started_at = text.started_at
            if explanation_prompt is not None:
                with explanation_prompt.open(slot.share) as text:
                    reasoning = await self.explain(text, label)
                    self.usage += text.tokens.usage
        return self.finish(decision, reasoning, label, self.labels)

    @property
    def _form(self) -> Form:
        """The form of the prompt that asks for the letter."""
        return self.forms.reasoning_first if self.options.mode == "reason" else self.letter_form

    @property
    def _explains_separately(self) -> bool:
        """True if the reasoning needs another prompt than the answer: most forms ask for a letter alone."""
        return self.options.mode == "explain" and self._form != self.forms.answer_first

    @property
    def _debias(self) -> Debias:
        return debias_in(self.options.mode, self.options.debias)

    async def _decide(self, text: Text, share: Share) -> tuple[Decision, str | None]:
        """Return the decision, and the reasoning if that comes before the answer."""
        reasoning = None
        if self.options.mode == "reason":
            line = await self.write(text)
            reasoning = line.text
            text.force(f"{line.missing_quote}\nanswer:")
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
                has_none_of_these=self.question.none_of_these,
            )
        self.answered = self.clock()
        return self.decide(selection, self._none_of_these(selection)), reasoning

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
        shared = await self.texts.encode_shared(await self.render_orders(self._form, orders))
        with shared.open(share) as texts:
            await texts.read_stem()
            scores = await gather(texts.score_labels(index, self.labels) for index in range(len(orders)))
        self.usage += texts.tokens.usage
        return scores

    def _none_of_these(self, selection: Selection) -> NoneOfThese | None:
        if not self.question.none_of_these:
            return None
        label, probability = selection.probabilities[-1].label, selection.probabilities[-1].probability
        selected = not selection.abstained and selection.answer is None
        return NoneOfThese(
            label=label, probability=probability, selected=selected, label_mass=self.label_mass
        )
