"""Writing configuration files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, text: str) -> None:
    """Write the file unless it has this text already."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
