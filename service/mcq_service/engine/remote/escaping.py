"""Escape a client's text for a server that tokenises the whole prompt.

A remote server gets a prompt as one text, and `<|im_end|>` in it ends a turn. So a space goes into the client's `<|`:
`<| im_end|>` is no control token and reads the same. Only text with `<|`, its full-width form, or a tag that chat
models have as a token is changed: `</s>` and `[INST]` of Llama 2 and Mistral, `<end_of_turn>` of Gemma.
"""

from __future__ import annotations

import re

# Replacements without a group: one with a group takes ten times as long, and a text may have 100,000 hits.
_REPLACEMENTS = (
    (re.compile(r"<\|(?=\S)"), "<| "),
    (re.compile(r"<｜(?=\S)"), "<｜ "),
    (re.compile(r"<(?=/?(?:tool_call|tool_response|think|s)>)"), "< "),
    (re.compile(r"<(?=(?:bos|eos|pad|unk|mask|(?:start|end)_of_(?:turn|image))>)"), "< "),
    (re.compile(r"<<(?=/?SYS>>)"), "<< "),
    (re.compile(r"\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w{1,9}|THINK|IMG)\])"), "[ "),
)


def escape_control_tokens(text: str) -> str:
    """Split every control token in the text, in time linear in its length."""
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    return text
