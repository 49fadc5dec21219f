"""Fixtures for the exam tests: a small exam and the service's model and replica."""

from pathlib import Path

import pytest
from tests.eval.fakes import COUNT
from tests.eval.files import exam_file
from tests.service.conftest import model_cache, prepared_model, replica

__all__ = ["model_cache", "prepared_model", "replica"]


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    """Return an exam with the right answers A, B, C in turn."""
    rows = [
        {
            "id": f"q{number}",
            "subject": "even" if number % 2 == 0 else "odd",
            "question": f"What is number {number}?",
            "choices": ["one", "two", "three"],
            "answer": number % 3,
        }
        for number in range(COUNT)
    ]
    return exam_file(tmp_path / "exam.jsonl", *rows)
