"""Text that others wrote: replicas, nodes, webhooks, people."""

import unicodedata

LINES_AND_TABS = frozenset("\n\t")
REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What has a terminal show text in another order than it is written in."""


def one_line(text: str) -> str:
    """Return the text as one line without control characters, which would act on a reader's terminal."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def plain(text: str) -> str:
    """Return the text with what would act on a terminal written out, but for its lines and tabs."""
    return "".join(_written_out(each) if _acts(each) else each for each in text)


def _acts(character: str) -> bool:
    if character in LINES_AND_TABS:
        return False
    return character in REORDERING or unicodedata.category(character) in {"Cc", "Cs"}


def _written_out(character: str) -> str:
    return ascii(character)[1:-1]
