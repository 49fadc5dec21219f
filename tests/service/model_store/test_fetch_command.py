"""The command that fetches a model: its output and its errors."""

import io
import subprocess
from pathlib import Path

import pytest
from tests.service.model_store import tiny

from mcq_service.model_store import ModelRef, Stage, Store
from mcq_service.model_store.catalogue import DEFAULT_URI
from mcq_service.model_store.fetch_command import main
from mcq_service.model_store.progress_display import line_progress


def test_fetch_prints_only_the_path_on_standard_output(tmp_path: Path, index: tiny.Index) -> None:
    model = Store(tmp_path / "store", sources=index.sources).ensure(ModelRef(DEFAULT_URI), "float32")
    done = subprocess.run(
        [*tiny.FETCH, "--verify", "--cache", str(tmp_path / "store")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{model.path}\n"
    assert "checking the SHA-256" in done.stderr


def test_hack_model_passes_its_options_on() -> None:
    script = Path(__file__).parents[3] / "hack" / "model"
    done = subprocess.run([script, "--uri", "ftp://host/x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: The model URI 'ftp://host/x' is not supported")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--uri", "nonsense"], 2), (["--digest", "sha256:1"], 2), (["--cache", "/sys/mcq-store"], 7)],
)
def test_an_error_is_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], code: int
) -> None:
    assert main(["fetch", "--cache", str(tmp_path), *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_without_a_terminal_progress_is_a_line_every_few_seconds() -> None:
    # The start asks for the time once, each report once, and each line once more.
    stream, times = io.StringIO(), iter([0.0, 0.0, 0.0, 1.0, 2.0, 2.0, 7.5, 7.5])
    report = line_progress(stream, clock=lambda: next(times))
    report(Stage.FETCHING, 0.0, "weights")
    report(Stage.FETCHING, 0.1, "weights")
    report(Stage.FETCHING, None, "checking")
    report(Stage.FETCHING, None, "checking")
    assert stream.getvalue().splitlines() == [
        "[  0.0 s] fetching   0%: weights",
        "[  2.0 s] fetching: checking",
        "[  7.5 s] fetching: checking",
    ]
