"""Makes untrusted text safe to show: text of replicas, nodes, webhooks and other users."""

import unicodedata

LINES_AND_TABS = frozenset("\n\t")
REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that make a terminal show text in another order than written."""


def one_line(text: str) -> str:
    """Return the text as one line without control characters, which could control a reader's terminal."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def escape_controls(text: str) -> str:
    """Return the text with control and reordering characters escaped, except line breaks and tabs."""
    return "".join(ascii(each)[1:-1] if _is_control(each) else each for each in text)


def _is_control(character: str) -> bool:
    if character in LINES_AND_TABS:
        return False
    return character in REORDERING or unicodedata.category(character) in {"Cc", "Cs"}
