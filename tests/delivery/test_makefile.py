"""The Makefile's own logic: what makes a target out of date, and what its variables mean."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hack.toolchain.paths import ROOT


def make(*arguments: str) -> str:
    """Return what make prints for these arguments in this checkout, without the variables of the make around it."""
    command = ["make", "--no-print-directory", *arguments]
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "MCQ_CACHE") if name in os.environ}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_every_source_of_the_environment_makes_it_anew() -> None:
    rules = make("--dry-run", "--print-data-base", "help").splitlines()
    [rule] = [line for line in rules if line.startswith(".venv/.ready: ")]
    needed = set(rule.split()[1:])
    native = {
        str(path.relative_to(ROOT)) for path in Path(ROOT / "service/native").rglob("*") if path.is_file()
    }
    assert native <= needed
    assert {"requirements.lock", "service/requirements-build.lock", "hack/requirements-uv.lock"} <= needed


def test_suites_without_coverage_and_a_path_with_a_space_have_reports(tmp_path: Path) -> None:
    reports = tmp_path / "my reports"
    kept = tmp_path / "my"
    kept.mkdir()
    make("--assume-old=.venv/.ready", "test", "SUITES=help", f"REPORTS={reports}")
    assert kept.exists()
    assert f'--junitxml="{reports}/test-page.xml"' in make("--dry-run", "test-page", f"REPORTS={reports}")


@pytest.mark.parametrize(("slow", "left_out"), [("", True), ("0", True), ("1", False)])
def test_slow_tests_run_only_if_slow_is_on(slow: str, left_out: bool) -> None:
    assert ('-m "not slow"' in make("--dry-run", "test-page", f"SLOW={slow}")) is left_out
