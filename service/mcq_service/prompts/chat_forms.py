"""The forms of one model's prompts: conversations in its own chat template, and plain text.

A conversation ends directly before the letter (`answer:`) or, in mode reason, directly before the reasoning.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from mcq_service.prompts.chat_template import ChatTemplate, TemplateRefused, Turn
from mcq_service.prompts.forms import PLANET, Form
from mcq_service.prompts.plain_forms import plain_form

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARK, _GAP = ") ", "\n\n"
# The worked example has a reasoning: without it, the model often just repeats the choice as its reasoning. The example
# costs nothing, because the prefix is read once.
_REASONING = "Mars looks red because iron oxide, which is rust, covers its surface; the others are not red."
_SENTENCE = "a full sentence in double quotes that explains why this choice is right and the others are not"


class Forms:
    """The forms of one model's prompts."""

    def __init__(self, template: ChatTemplate | None = None, *, beginning: str = "") -> None:
        """Use the model's template, or ChatML if the template is unknown or can't show a worked example.

        `beginning` is the control token at the beginning of the model's texts, if it has one. It is added if
        the template does not write it.
        """
        self._template = ChatTemplate() if template is None else template
        self._beginning = beginning

    @cached_property
    def answer_first(self) -> Form:
        """The conversation that asks for a letter and then for the reasoning."""
        return self._conversation(
            f"answer, the letter of the right choice; reasoning, {_SENTENCE}",
            f'answer: C\nreasoning: "{_REASONING}"',
            "answer:",
        )

    @cached_property
    def reasoning_first(self) -> Form:
        """The conversation that asks for the reasoning and then for a letter."""
        return self._conversation(
            f"reasoning, {_SENTENCE}; answer, the letter of the right choice",
            f'reasoning: "{_REASONING}"\nanswer: C',
            'reasoning: "',
        )

    @cached_property
    def answering(self) -> dict[str, Form]:
        """The forms that ask for a letter, by name. The first is the default for a model without a calibration."""
        return {
            "chat, 1 example": self.answer_first,
            "plain, no example": plain_form(0, beginning=self._beginning),
            "plain, 5 examples": plain_form(5, beginning=self._beginning),
        }

    def answer_form(self, digest: str | None) -> Form:
        """Return the form with this digest, or the default for None. Raises KeyError."""
        if digest is None:
            return self.answer_first
        return {form.digest: form for form in self.answering.values()}[digest]

    def _conversation(self, keys: str, reply: str, begin: str) -> Form:
        system = f"You answer multiple-choice questions. Reply in YAML with two keys: {keys}."
        example = PLANET.text(_MARK, _GAP)
        worked = [Turn("system", system), Turn("user", example), Turn("assistant", reply)]
        # Some templates have no system's turn.
        without_system = [Turn("user", f"{system}\n\n{example}"), worked[-1]]
        form = None
        for template, turns in (
            (self._template, worked), (self._template, without_system), (ChatTemplate(), worked)
        ):  # fmt: skip
            with suppress(TemplateRefused):
                form = form or _form(template, turns, begin)
        assert form is not None, "ChatML has a form for every conversation"
        missing = "" if form.prefix.startswith(self._beginning) else self._beginning
        return form._replace(prefix=f"{missing}{form.prefix}")


def _form(template: ChatTemplate, worked: Sequence[Turn], begin: str) -> Form:
    """Return the form of a conversation that goes on after `worked`. Raises TemplateRefused."""
    question, reply = Turn("user", "?"), Turn("assistant", "!")
    at = len(worked)

    def text(pieces: Sequence[str | int]) -> str:
        return "".join(worked[each].text if isinstance(each, int) else each for each in pieces)

    short = template.constant([*worked, question])
    prefix, suffix = short[: short.index(at)], short[short.index(at) + 1 :]
    # Two more turns than a client's example has: some templates move the system's turn to the last question.
    long = template.constant([*worked, question, reply, question, reply, question])
    asked, answered, after = (long.index(at + number) for number in range(3))
    return Form(
        prefix=text(prefix),
        suffix=f"{text(suffix)}{begin}",
        mark=_MARK,
        gap=_GAP,
        answer=f"{text(long[asked + 1 : answered])}answer: ",
        end=text(long[answered + 1 : after]),
    )


CHATML = Forms()
"""The forms in ChatML, for a model of another server: its template is unknown."""
