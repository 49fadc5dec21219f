"""Output of the commands: to a terminal, a file, or a pipe that the reader may close."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from mcq_operator.api.text import escape_controls

PIPE_CLOSED = 141
"""The exit status after the reader has closed the pipe, as a shell shows it for SIGPIPE."""


def write_line(text: str) -> None:
    """Write a line to the output, without control characters that a terminal would obey."""
    sys.stdout.write(f"{escape_controls(text)}\n")


def write_error(text: str) -> None:
    """Write a line to the standard error."""
    sys.stderr.write(f"{escape_controls(text)}\n")


BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
"""Styles, as a terminal's codes."""


def styled(text: str, *styles: str) -> str:
    """Return the text without control characters, and in these styles if the output is a terminal."""
    safe = escape_controls(text)
    return f"\x1b[{';'.join(styles)}m{safe}\x1b[0m" if styles and _has_colours() else safe


def write_styled(*parts: str) -> None:
    """Write a line of parts from `styled`."""
    sys.stdout.write("".join(parts) + "\n")


def _has_colours() -> bool:
    """Return whether the output is a terminal and the user allows colours: https://no-color.org."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write_json(document: Any) -> None:
    """Write a document as JSON in ASCII, so that no text in it controls a terminal."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def run_command(command: Callable[[], int]) -> int:
    """Run a command and return its exit status. End silently if the reader has closed the pipe."""
    try:
        try:
            status = command()
        except SystemExit as end:  # argparse has printed its help or an error
            status = int(end.code or 0)
        # Flush here: at the end of the interpreter, a failure would only print a traceback.
        sys.stdout.flush()
    except BrokenPipeError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        for stream in sys.stdout, sys.stderr:
            os.dup2(devnull, stream.fileno())
        return PIPE_CLOSED
    return status
