import json
from pathlib import Path

import pytest
from tests.eval.fakes import COUNT
from tests.service.conftest import model_cache, prepared_model, replica

__all__ = ["model_cache", "prepared_model", "replica"]


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    """Questions with the right answers A, B, C in turn."""
    path = tmp_path / "exam.jsonl"
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
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
