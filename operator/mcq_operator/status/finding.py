"""Findings, which become conditions, and failures, which become findings."""

from dataclasses import dataclass
from typing import Literal

from mcq_operator.api.text import one_line

LONGEST_DETAIL = 1000
"""Characters that a message quotes from a container or the API server."""

State = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class Finding:
    """A condition's type, status, reason and message."""

    type: str
    status: State
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A reason, and a message that says what to do."""

    reason: str
    message: str


def quoted(text: str) -> str:
    """Make text of another program fit for a sentence: one line, of limited length, with a full stop."""
    line = one_line(text)
    if len(line) > LONGEST_DETAIL:
        # Keep the end: a traceback's last line is the error.
        line = "…" + line[-LONGEST_DETAIL:]
    return line if not line or line.endswith((".", "!", "?")) else f"{line}."
