"""The multiple-choice prompt: a question and its choices in a form, keeping meaningful white space."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

from mcq_service.prompts.chat_forms import ANSWER_FIRST
from mcq_service.prompts.forms import Form, Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_service.api.mcq.schemas import Option, Question


def render(question: Question, form: Form = ANSWER_FIRST, *, order: Sequence[int] | None = None) -> Prompt:
    """Render the prompt of a question.

    `order` rearranges the choices: the letters stay in place, and the first letter goes to choice `order[0]`.
    """
    stem = f"{_without_margin(question.question)}{form.gap}"
    return Prompt(form.prefix, stem, _choices(question.options, form, order), form.suffix)


def render_about(
    state: str, text: str, options: Sequence[Option], form: Form, *, order: Sequence[int]
) -> Prompt:
    """Render the prompt of a question about a state, with its options in `order`; the state is the stem."""
    rest = f"{_without_margin(text)}{form.gap}{_choices(options, form, order)}"
    return Prompt(form.prefix, f"{_without_margin(state)}\n\n", rest, form.suffix)


def _choices(options: Sequence[Option], form: Form, order: Sequence[int] | None) -> str:
    texts = _texts(options)
    if order is not None:
        texts = [texts[index] for index in order]
    return "\n".join(
        _lines(f"{option.label}{form.mark}", text) for option, text in zip(options, texts, strict=True)
    )


def _texts(options: Sequence[Option]) -> list[str]:
    """Return each choice's text without its common indentation, unless only indentation tells choices apart."""
    texts = ["\n".join(option.lines) for option in options]
    plain = [_without_margin(text) for text in texts]
    return plain if len(set(plain)) == len(plain) else texts


def _without_margin(text: str) -> str:
    """Strip the text; several lines keep their indentation relative to the first."""
    written = text.strip("\r\n")
    return (
        dedent(written).rstrip() if written[:1] in {" ", "\t"} and "\n" in written.strip() else text.strip()
    )


def _lines(mark: str, text: str) -> str:
    """Return a choice after its mark; further lines are indented, so that none looks like another choice."""
    first, *others = text.split("\n")
    return "\n".join([mark + first, *(f"{' ' * len(mark)}{line}" if line else "" for line in others)])
