"""A client's text for a server that makes tokens of it: nothing in it may become a control token there.

A remote server takes a whole prompt as text, in which `<|im_end|>` ends a turn. So a client's `<|` gets a space before
what follows it: `<| im_end|>` is no token, and is read as what it is. What stays the same is
everything without `<|`, its full-width form or one of the tags that chat models have as tokens.
"""

from __future__ import annotations

import re

_BARS = re.compile(r"<([|｜])(?=\S)")  # noqa: RUF001 - the second is meant
_TAGS = re.compile(r"<(?=/?(?:tool_call|tool_response|think)>)")


def neutral(text: str) -> str:
    """The text with its control tokens taken apart."""
    return _TAGS.sub("< ", _BARS.sub(r"<\1 ", text))
