"""Recognize the requests of exams.

The metrics count only their tokens: everything else, and with it the alerts, is about users alone.
"""

from __future__ import annotations

from contextvars import ContextVar

EXAM = ("MCQ-Exam", "1")
"""The header of an exam's requests."""

of_exam: ContextVar[bool] = ContextVar("of_exam", default=False)
"""Whether an exam sent the current request."""
