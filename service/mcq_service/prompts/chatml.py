"""The prompts in ChatML, the format that Qwen's instruction models were trained on.

A prompt ends where the model's own first word is the letter (`answer:`), or, in mode reason, where its reasoning
begins. Source of the format: the model's chat template (tokenizer_config.json).
"""

from __future__ import annotations

import hashlib
from textwrap import dedent
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_service.protocol import Mode, Option, Question

# One worked example: without it the model's reasoning is often just the choice's own words. It costs nothing, as
# the prefix is read once.
EXAMPLE = """Which planet is known as the Red Planet?

A) Venus
B) Jupiter
C) Mars
D) Saturn"""
_REASONING = "Mars looks red because iron oxide, which is rust, covers its surface; the others are not red."
_SENTENCE = "a full sentence in double quotes that explains why this choice is right and the others are not"


class Prompt(NamedTuple):
    """The parts of a prompt, in order.

    `prefix` is the same for all questions. `stem`, the question, and `choices` are a client's text: they must be
    tokenised so that nothing in them becomes a control token, or a question could end its own turn. The stem ends
    with a line break, so that its tokens do not depend on the choices. `suffix` is ours again.
    """

    prefix: str
    stem: str
    choices: str
    suffix: str


class Form(NamedTuple):
    """What surrounds a question: the constant prefix, and the end that the model goes on from."""

    prefix: str
    suffix: str

    @property
    def digest(self) -> str:
        """SHA-256 of the form: a calibration is of one form."""
        return "sha256:" + hashlib.sha256(f"{self.prefix}\0{self.suffix}".encode()).hexdigest()


def _form(keys: str, example: str, begin: str) -> Form:
    system = f"You answer multiple-choice questions. Reply in YAML with two keys: {keys}."
    prefix = (
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{EXAMPLE}<|im_end|>\n"
        f"<|im_start|>assistant\n{example}<|im_end|>\n<|im_start|>user\n"
    )
    return Form(prefix, f"<|im_end|>\n<|im_start|>assistant\n{begin}")


ANSWER_FIRST = _form(
    f"answer, the letter of the right choice; reasoning, {_SENTENCE}",
    f'answer: C\nreasoning: "{_REASONING}"',
    "answer:",
)
REASONING_FIRST = _form(
    f"reasoning, {_SENTENCE}; answer, the letter of the right choice",
    f'reasoning: "{_REASONING}"\nanswer: C',
    'reasoning: "',
)
FORMS = (ANSWER_FIRST, REASONING_FIRST)


def render(question: Question, mode: Mode = "explain", *, order: Sequence[int] | None = None) -> Prompt:
    """The prompt of a question.

    `order` offers the choices in another order: the letters stay, and the first is given to choice `order[0]`.
    """
    form = REASONING_FIRST if mode == "reason" else ANSWER_FIRST
    options = question.options
    texts = _texts(options)
    if order is not None:
        texts = [texts[index] for index in order]
    choices = "\n".join(_lines(option, text) for option, text in zip(options, texts, strict=True))
    return Prompt(form.prefix, f"{_without_margin(question.question)}\n\n", choices, form.suffix)


def _texts(options: Sequence[Option]) -> list[str]:
    """Each choice's text; the indentation that all its lines share is left out, unless it tells choices apart."""
    texts = ["\n".join(option.lines) for option in options]
    plain = [_without_margin(text) for text in texts]
    return plain if len(set(plain)) == len(plain) else texts


def _without_margin(text: str) -> str:
    """The text from its first word on; where lines follow, they keep their indentation beside that of the first."""
    written = text.strip("\r\n")
    return dedent(written).rstrip() if written[0] in " \t" and "\n" in written.strip() else text.strip()


def _lines(option: Option, text: str) -> str:
    """A choice under its letter; further lines are indented, so that none can pass for another choice."""
    mark = f"{option.label}) "
    first, *others = text.split("\n")
    return "\n".join([mark + first, *(f"{' ' * len(mark)}{line}" if line else "" for line in others)])
