"""What commands write: to a person's terminal, a file, or a pipe whose reader may leave."""

import os
import sys
from collections.abc import Callable

from .models.text import plain

PIPE_CLOSED = 141
"""The exit status of a command whose reader has gone, as a shell shows it of one that SIGPIPE ended."""


def say(text: str) -> None:
    """Write a line to the output. Others' words in it do nothing to a terminal."""
    sys.stdout.write(f"{plain(text)}\n")


def complain(text: str) -> None:
    """Write a line to the standard error."""
    sys.stderr.write(f"{plain(text)}\n")


def piped(command: Callable[[], int]) -> int:
    """Run a command and return its exit status; one whose reader has gone ends without a word."""
    try:
        try:
            status = command()
        except SystemExit as end:  # argparse's, which has printed its help or an error
            status = int(end.code or 0)
        # Here, and not when the interpreter ends, which could only complain.
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in sys.stdout, sys.stderr:
            os.dup2(nowhere, stream.fileno())
        return PIPE_CLOSED
    return status
