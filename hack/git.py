"""Git facts of this checkout."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def revision(root: Path) -> str:
    """Return the checked-out commit, with "-dirty" if files differ from it; "unknown" outside a repository."""
    try:
        commit = git(root, "rev-parse", "HEAD")
        return f"{commit}-dirty" if git(root, "status", "--porcelain") else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def committed_at(root: Path) -> str | None:
    """Return the commit's time in RFC 3339; None outside a repository."""
    try:
        return git(root, "show", "--no-patch", "--format=%cI", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return None


def git(root: Path, *arguments: str) -> str:
    """Run git in `root` and return its output. Raises CalledProcessError."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
