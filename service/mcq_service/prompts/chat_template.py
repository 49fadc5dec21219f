"""A conversation in ChatML, as in the chat template of Qwen's instruction models, without tools.

Source: chat_template in the models' tokenizer_config.json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mcq_service.prompts.text_span import TextSpan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
"""The template's system message for a conversation without one."""


class Turn(NamedTuple):
    """One message: a ChatML role and a client's text."""

    role: str
    text: str


def chat_prompt(turns: Sequence[Turn]) -> Iterator[TextSpan]:
    """Yield the prompt in spans; the model continues with the assistant's next turn."""
    if turns[0].role != "system":
        yield TextSpan(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n", trusted=True)
    for turn in turns:
        yield TextSpan(f"<|im_start|>{turn.role}\n", trusted=True)
        yield TextSpan(turn.text, trusted=False)
        yield TextSpan("<|im_end|>\n", trusted=True)
    yield TextSpan("<|im_start|>assistant\n", trusted=True)
