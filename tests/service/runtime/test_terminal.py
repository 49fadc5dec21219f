"""The commands' output to a reader that has left, and to a terminal."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcq_service.model_store.progress_display import report_error
from mcq_service.runtime.terminal import PlainConsole, printable

CLOSED = 141


def unread(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose output has no reader."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            [sys.executable, "-m", "mcq_service", *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        os.close(writing)


def exam(path: Path) -> Path:
    row = {"question": "Half of ten?", "options": ["A)4", "B)5"], "rationale": "…", "correct": "B"}
    path.write_text(json.dumps(row) + "\n")
    return path


def test_a_command_whose_reader_has_left_ends_silently(tmp_path: Path) -> None:
    done = unread("exam", "import", "aqua", str(exam(tmp_path / "dev.json")))
    assert done.returncode == CLOSED
    assert "rror" not in done.stderr


def test_a_reader_that_has_left_is_no_error_of_the_command() -> None:
    with pytest.raises(BrokenPipeError):
        report_error(BrokenPipeError(32, "Broken pipe"))


def test_foreign_text_in_an_error_does_not_act_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(OSError("\x1b[2J\x9bgone")) == 1
    assert capsys.readouterr().err == "error: \\x1b[2J\\x9bgone\n"


@pytest.mark.parametrize("text", ["\x1b]0;title\x07", "[red]x[/nothing]", ":smile:", "\u202egnihton"])
def test_foreign_text_in_a_table_does_not_act_on_a_terminal(text: str) -> None:
    """Control characters and the markup of the library that draws the table have no effect."""
    out = io.StringIO()
    PlainConsole(file=out, width=80).print(text)
    assert out.getvalue() == f"{printable(text)}\n"
    assert printable(text).isprintable()
