"""Running a command to its end."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

from hack.cluster.errors import CommandError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def run(
    command: Sequence[str | Path], *, check: bool = True, stdin: str | None = None, timeout: float = 120,
    env: Mapping[str, str] | None = None, cwd: Path | None = None,
) -> str:  # fmt: skip
    """Run `command` and return its stdout; with `check`, a failure raises CommandError with the output."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, input=stdin, timeout=timeout, env=env, cwd=cwd, check=False
        )
    except FileNotFoundError as error:
        message = f"{words[0]} is not installed."
        raise MissingToolError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"No answer in {timeout:.0f} s from: {shlex.join(words)}"
        raise CommandError(message) from error
    if check and done.returncode:
        printed = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        message = f"Exit code {done.returncode} from: {shlex.join(words)}\n{printed}"
        raise CommandError(message)
    return done.stdout
