"""A conversation in ChatML, as the template of Qwen's instruction models has it, without tools.

Source: chat_template in the models' tokenizer_config.json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
"""What the template says where a conversation does not begin with a system message."""


class Turn(NamedTuple):
    """Who said what; a role is one of ChatML's, a text is a client's."""

    role: str
    text: str


class Span(NamedTuple):
    """A part of a prompt: our own text, or a client's, in which nothing may become a control token."""

    text: str
    ours: bool


def conversation(turns: Sequence[Turn]) -> Iterator[Span]:
    """The prompt in parts; the model goes on with the assistant's next turn."""
    if turns[0].role != "system":
        yield Span(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n", ours=True)
    for turn in turns:
        yield Span(f"<|im_start|>{turn.role}\n", ours=True)
        yield Span(turn.text, ours=False)
        yield Span("<|im_end|>\n", ours=True)
    yield Span("<|im_start|>assistant\n", ours=True)
