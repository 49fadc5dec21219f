"""Runs a command to completion."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

from hack.toolchain.errors import CommandError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def run(
    command: Sequence[str | Path], *, check: bool = True, stdin: str | None = None, timeout: float | None = 120,
    env: Mapping[str, str] | None = None, cwd: Path | None = None, both: bool = False,
) -> str:  # fmt: skip
    """Run `command` and return its stdout, with `both` also its stderr.

    With `check`, a failure raises CommandError with the output.
    """
    argv = [str(word) for word in command]
    try:
        completed = subprocess.run(
            argv, capture_output=True, text=True, input=stdin, timeout=timeout, env=env, cwd=cwd, check=False
        )
    except FileNotFoundError as error:
        message = f"{argv[0]} is not installed."
        raise MissingToolError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"No answer in {timeout:.0f} s from: {shlex.join(argv)}"
        raise CommandError(message) from error
    if check and completed.returncode:
        printed = "\n".join((completed.stdout + completed.stderr).strip().splitlines()[-25:])
        message = f"Exit code {completed.returncode} from: {shlex.join(argv)}\n{printed}"
        raise CommandError(message)
    return completed.stdout + completed.stderr if both else completed.stdout
