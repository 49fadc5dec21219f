"""Write a command's output to a terminal, a file, or a pipe that its reader may close."""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.text import Text

INTERRUPTED = 130
"""The exit code after Ctrl-C: a shell's code for SIGINT."""
PIPE_CLOSED = 141
"""The exit code after the output's reader has left: a shell's code for SIGPIPE."""
_LINES_AND_TABS = frozenset("\n\t")
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """Escape every character that a terminal would act on, except line breaks and tabs."""
    return "".join(ascii(each)[1:-1] if _is_control(each) else each for each in text)


def _is_control(character: str) -> bool:
    if character in _LINES_AND_TABS:
        return False
    return character in _REORDERING or unicodedata.category(character) in {"Cc", "Cs"}


class PlainConsole(Console):
    """A console for untrusted text: control characters and markup in it have no effect."""

    def __init__(self, **options: Any) -> None:
        """See Console."""
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """See Console."""
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """Let `run_command` handle it."""
        raise


def run_command(command: Callable[[], int]) -> int:
    """Run a command and return its exit code. If its reader has left, end silently with PIPE_CLOSED."""
    try:
        try:
            code = command()
        except SystemExit as end:
            code = int(end.code or 0)
        # Flush here: at the interpreter's exit a broken pipe would print an error.
        sys.stdout.flush()
    except BrokenPipeError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        for stream in sys.stdout, sys.stderr:
            os.dup2(devnull, stream.fileno())
        return PIPE_CLOSED
    return code
