"""Recognize the requests of exams: they do not count as traffic, which is of users alone."""

from __future__ import annotations

from contextvars import ContextVar

EXAM = ("MCQ-Exam", "1")
"""The header of an exam's requests."""

of_exam: ContextVar[bool] = ContextVar("of_exam", default=False)
"""Whether an exam sent the current request."""
