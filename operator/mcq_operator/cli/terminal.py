"""Output of the commands: to a terminal, a file, or a pipe that the reader may close."""

import os
import sys
from collections.abc import Callable

from mcq_operator.api.text import escape_controls

PIPE_CLOSED = 141
"""The exit status after the reader has closed the pipe, as a shell shows it for SIGPIPE."""


def write_line(text: str) -> None:
    """Write a line to the output, without control characters that a terminal would obey."""
    sys.stdout.write(f"{escape_controls(text)}\n")


def write_error(text: str) -> None:
    """Write a line to the standard error."""
    sys.stderr.write(f"{escape_controls(text)}\n")


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
