"""Parts of a prompt that are our own text or a client's."""

from __future__ import annotations

from typing import NamedTuple


class TextSpan(NamedTuple):
    """A part of a prompt: trusted (our own text), or a client's, in which nothing may become a control token."""

    text: str
    trusted: bool
