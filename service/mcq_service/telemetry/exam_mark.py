"""The mark of an exam's requests: they are not users', so they do not count in the replica's traffic."""

from __future__ import annotations

from contextvars import ContextVar

EXAM = ("MCQ-Exam", "1")
"""The header of an exam's requests."""

of_exam: ContextVar[bool] = ContextVar("of_exam", default=False)
"""Whether an exam sent the current request."""
