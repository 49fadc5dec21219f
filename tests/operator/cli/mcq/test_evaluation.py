"""`mcq exam` runs the evaluation of the service's package."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tests.operator.cli.mcq.support import PROGRAM, Commands


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], Any]]:
    """The started programs and their environments; each ends with status 4."""
    started: list[tuple[list[str], Any]] = []

    def run(command: list[str], *, env: Any, check: bool) -> subprocess.CompletedProcess[str]:
        started.append((command[1:], env))
        return subprocess.CompletedProcess(command, 4)

    monkeypatch.setattr("mcq_operator.cli.mcq.evaluation.subprocess.run", run)
    return started


async def test_the_evaluation_gets_the_arguments_and_its_status_is_returned(
    commands: Commands, runs: list[tuple[list[str], Any]]
) -> None:
    done = await commands.mcq("exam", "a.jsonl", "b.jsonl", "--limit", "9", "-o", "json", "--url", "http://x")
    assert done.returncode == 4
    evaluate = ["-m", "mcq_service", "evaluate", "--url", "http://x", "--limit", "9", "--json", "-"]
    assert runs == [([*evaluate, "--", "a.jsonl", "b.jsonl"], None)]


async def test_the_key_is_passed_in_the_environment(
    commands: Commands, runs: list[tuple[list[str], Any]], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("a-key-of-16-chars\n")
    await commands.mcq("exam", "a.jsonl", "--key-file", str(key))
    [(command, environment)] = runs
    assert "a-key-of-16-chars" not in command
    assert environment == {**os.environ, "MCQ_API_KEY": "a-key-of-16-chars"}


async def test_without_the_services_package_there_is_advice(commands: Commands) -> None:
    with mock.patch("importlib.util.find_spec", return_value=None):
        done = await commands.mcq("exam", "a.jsonl")
    assert done.returncode == 1
    assert done.stderr.startswith("error: mcq exam needs the service's package, mcq-service")


def test_the_evaluation_has_these_options(tmp_path: Path) -> None:
    """The real one reads the exam before it asks the service."""
    exam = tmp_path / "exam.jsonl"
    exam.write_text(json.dumps({"id": "1", "question": "?", "choices": ["a", "b"], "answer": "C"}))
    command = [sys.executable, "-c", PROGRAM, "exam", str(exam), "--limit", "1", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert f"{exam}:1: answer" in done.stderr
