"""Writes configuration files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, text: str) -> None:
    """Write the file if its text differs."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
