"""What commands write: to a person's terminal, a file, or a pipe whose reader may leave."""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.text import Text

PIPE_CLOSED = 141
"""The exit code of a command whose reader has gone, as a shell shows it of one that SIGPIPE ended."""
_LINES_AND_TABS = frozenset("\n\t")
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(text: str) -> str:
    """Return the text with what would act on a terminal written out, but for its lines and tabs."""
    return "".join(ascii(each)[1:-1] if _acts(each) else each for each in text)


def _acts(character: str) -> bool:
    if character in _LINES_AND_TABS:
        return False
    return character in _REORDERING or unicodedata.category(character) in {"Cc", "Cs"}


class PlainConsole(Console):
    """A console that prints others' words: neither control characters nor markup in them does anything."""

    def __init__(self, **options: Any) -> None:
        """See Console."""
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """See Console."""
        return super().render_str(plain(text), **options)

    def on_broken_pipe(self) -> None:
        """Leave it to `piped`."""
        raise


def piped(command: Callable[[], int]) -> int:
    """Run a command and return its exit code; one whose reader has gone ends without a word."""
    try:
        try:
            code = command()
        except SystemExit as end:
            code = int(end.code or 0)
        # Here, and not when the interpreter ends, which could only complain.
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in sys.stdout, sys.stderr:
            os.dup2(nowhere, stream.fileno())
        return PIPE_CLOSED
    return code
