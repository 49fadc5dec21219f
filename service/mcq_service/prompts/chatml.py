"""The prompt in ChatML, the format that Qwen's instruction models were trained on.

The prompt ends where the model's own first word is the letter: `answer:`. Source of the format: the model's
chat template (tokenizer_config.json).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mcq_service.protocol import Question

SYSTEM = (
    "You answer multiple-choice questions. Reply in YAML with two keys: answer, the letter of the right choice; "
    "reasoning, a full sentence in double quotes that explains why this choice is right and the others are not."
)
# One worked example: without it the model's reasoning is often just the choice's own words. It costs nothing, as
# the prefix is read once.
EXAMPLE = """Which planet is known as the Red Planet?

A) Venus
B) Jupiter
C) Mars
D) Saturn"""
EXAMPLE_ANSWER = """answer: C
reasoning: "Mars looks red because iron oxide, which is rust, covers its surface; the others are not red.\""""
SUFFIX = "<|im_end|>\n<|im_start|>assistant\nanswer:"
PREFIX = (
    f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{EXAMPLE}<|im_end|>\n"
    f"<|im_start|>assistant\n{EXAMPLE_ANSWER}<|im_end|>\n<|im_start|>user\n"
)


class Prompt(NamedTuple):
    """The parts of a prompt, in order.

    `prefix` is the same for all questions. `user` is a client's text: it must be tokenised so that nothing in it
    becomes a special token, or a question could end its own turn. `suffix` is ours again.
    """

    prefix: str
    user: str
    suffix: str


def render(question: Question) -> Prompt:
    """The prompt of a question; a choice's line breaks are folded, so that it can't pass for two choices."""
    choices = "\n".join(f"{label}) {' '.join(text.split())}" for label, text in question.options)
    return Prompt(PREFIX, f"{question.question.strip()}\n\n{choices}", SUFFIX)
