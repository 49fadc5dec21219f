"""Commands print no terminal controls, and end silently when the reader of their output goes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hack.generate import ROOT
from tests.operator.support import run_operator

from mcq_operator.api.text import escape_controls, one_line

SAMPLE = str(ROOT / "config/samples/mcqsolver.yaml")
SIGPIPE_STATUS = 141


def run_without_reader(*arguments: str, errors_too: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command after the reader of its output has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            [sys.executable, "-m", "mcq_operator", *arguments],
            stdout=writing,
            stderr=writing if errors_too else subprocess.PIPE,
            env={**os.environ, "KUBECONFIG": "/nowhere"},
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writing)


@pytest.mark.parametrize("arguments", [("check", SAMPLE), ("rbac",)])
def test_a_command_ends_silently_without_its_reader(arguments: tuple[str, ...]) -> None:
    done = run_without_reader(*arguments)
    assert (done.returncode, done.stderr) == (SIGPIPE_STATUS, "")


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("backup", "list", "--help")])
def test_help_ends_silently_without_a_reader(arguments: tuple[str, ...]) -> None:
    """argparse itself treats a closed pipe as success if it notices the pipe first."""
    done = run_without_reader(*arguments)
    assert done.returncode in {0, SIGPIPE_STATUS}
    assert done.stderr == ""


def test_a_command_ends_silently_when_its_reader_leaves_half_way(tmp_path: Path) -> None:
    """The output is longer than a pipe holds."""
    manifests = [
        Path(SAMPLE).read_text().replace("name: demo", f"name: demo-{number}") for number in range(60)
    ]
    file = tmp_path / "many.yaml"
    file.write_text("\n---\n".join(manifests))
    with subprocess.Popen(
        [sys.executable, "-m", "mcq_operator", "check", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "apiVersion: v1\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == SIGPIPE_STATUS


@pytest.mark.parametrize(
    "arguments",
    [("check", "/nowhere.yaml"), ("exam", "report", "x"), ("backup", "list", "--from", "/nowhere")],
)
def test_an_error_without_a_reader_prints_no_traceback(arguments: tuple[str, ...]) -> None:
    assert run_without_reader(*arguments, errors_too=True).returncode == SIGPIPE_STATUS


def test_each_invalid_setting_is_reported_on_a_line() -> None:
    for arguments in (), ("check", SAMPLE):
        done = run_operator(*arguments, MCQ_OPERATOR_WORKERS="many", MCQ_OPERATOR_PORT="-1")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines() == [
            "error: MCQ_OPERATOR_WORKERS='many': Input should be a valid integer, unable to parse string"
            " as an integer",
            "error: MCQ_OPERATOR_PORT='-1': Input should be greater than or equal to 0",
        ]


def test_a_quoted_error_does_not_control_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "\x1b[31mred"
    file.write_text('apiVersion: mcq-operator.dev/v1alpha1\nkind: MCQSolver\nspec: {"\\e[2J": 1}')
    done = run_operator("check", str(file))
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert r"\x1b[2J" in done.stderr


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("one\n\ttwo é 答え ✓", "one\n\ttwo é 答え ✓"),
        ("\x1b[2J\x07\r", r"\x1b[2J\x07\r"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("\u202egnihton\u2069", r"\u202egnihton\u2069"),
        ("\udc80", r"\udc80"),
    ],
)
def test_terminal_controls_are_escaped(text: str, escaped: str) -> None:
    assert escape_controls(text) == escaped
    escaped.encode()


def test_a_condition_has_no_terminal_controls() -> None:
    assert one_line("a\x1b[2J\r\n b\u202ec\ud800 é") == "a [2J b c é"
