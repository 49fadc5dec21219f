"""The commands `calibrate` and `evaluate` with the default model."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.eval.files import exam_file

from mcq_eval.dataset.exam_file import read_exams
from mcq_service.mcq.calibration_files import calibration_for
from mcq_service.model_store import PreparedModel
from mcq_service.prompts import CHATML

pytestmark = pytest.mark.slow

FACTS = {
    "What is the capital of France?": ["Berlin", "Madrid", "Paris", "Rome"],
    "Which of these animals can fly?": ["cow", "horse", "dog", "eagle"],
    "How many days has a week?": ["seven", "five", "ten", "two"],
    "What is 2 + 2?": ["3", "4", "5", "22"],
    "Which language is spoken in Brazil?": ["Dutch", "Greek", "Portuguese", "Thai"],
    "What freezes at 0 degrees Celsius?": ["iron", "gold", "air", "water"],
    "Which colour is a ripe banana?": ["yellow", "blue", "black", "purple"],
    "What do bees make?": ["milk", "honey", "silk", "paper"],
}


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return easy questions, each in four wordings, so that both halves have enough."""
    rows = [
        {"id": f"{number}{lead}", "question": lead + text, "choices": choices, "answer": "CDABCDAB"[number]}
        for number, (text, choices) in enumerate(FACTS.items())
        for lead in ("", "An easy one. ", "Quickly: ", "For a child. ")
    ]
    return exam_file(tmp_path_factory.mktemp("exam") / "facts.jsonl", *rows)


@pytest.fixture(scope="module")
def command(model_cache: Path, prepared_model: PreparedModel) -> Any:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "MCQ_MODEL_CACHE": str(model_cache),
            "MCQ_MODEL_PRECISION": prepared_model.precision,
        }
        return subprocess.run(
            [sys.executable, "-m", "mcq_service", *arguments],
            env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def evaluated(command: Any, exam: Path) -> subprocess.CompletedProcess[str]:
    """Return the command's output for eight of the questions."""
    done: subprocess.CompletedProcess[str] = command("evaluate", str(exam), "--limit", "8", "--json", "-")
    assert done.returncode == 0, done.stderr
    return done


def test_easy_questions_are_answered_right_and_written_as_json(
    evaluated: subprocess.CompletedProcess[str],
) -> None:
    result = json.loads(evaluated.stdout)
    assert result["figures"]["accuracy"]["right"] >= 7
    assert len(result["rows"]) == 8
    assert "accuracy" in evaluated.stderr
    assert "8 of 8" in evaluated.stderr


def test_a_fitted_calibration_belongs_to_the_model(
    command: Any, exam: Path, tmp_path: Path, prepared_model: PreparedModel
) -> None:
    path = tmp_path / "calibration.json"
    done = command("calibrate", str(exam), "--limit", "10", "--output", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(path)
    calibration = calibration_for(prepared_model, CHATML, explicit=path)
    assert set(calibration.choices[4].prior) == set("ABCD")
    assert len(read_exams([exam]).select("calibration")) >= 10


def test_eight_questions_are_too_few_to_show_that_the_same_model_is_no_worse(
    command: Any, exam: Path, evaluated: subprocess.CompletedProcess[str], tmp_path: Path,
    prepared_model: PreparedModel,
) -> None:  # fmt: skip
    before, after, page = (tmp_path / name for name in ("before.json", "after.json", "after.html"))
    before.write_text(evaluated.stdout)
    limits = ("--paired", str(before), "--max-regression", "0.05", "--min-accuracy", "0.3")
    done = command("evaluate", str(exam), "--limit", "8", *limits, "--json", str(after), "--html", str(page))
    assert done.returncode == 4, done.stderr
    assert "Inconclusive:" in done.stdout
    result = json.loads(after.read_text())
    passed, undecided = result["verdict"]["limits"]
    assert (passed["outcome"], undecided["outcome"]) == ("Passed", "Inconclusive")
    assert undecided["more_questions"] > 8
    assert result["model_digest"] == prepared_model.digest
    assert "Inconclusive" in page.read_text()


def test_a_limit_on_the_regression_needs_an_earlier_result(command: Any, exam: Path) -> None:
    done = command("evaluate", str(exam), "--max-regression", "0.05")
    assert done.returncode == 2
    assert done.stderr == "error: --max-regression needs an earlier result: name it with --paired FILE\n"


def test_an_error_is_one_line_and_no_model_is_loaded(command: Any, tmp_path: Path) -> None:
    done = command("evaluate", str(tmp_path / "none.jsonl"))
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'none.jsonl'} can't be read: No such file or directory.\n"
