"""Exam files that tests write, and the import of a single question."""

import json
from pathlib import Path
from typing import Any

from mcq_eval.importing.importer import Format, import_exam


def exam_file(path: Path, *rows: dict[str, Any] | str) -> Path:
    """Write rows as JSON, and text as it is, with a line for each; return the path."""
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def import_one(form: Format, path: Path) -> dict[str, Any]:
    """Return the row of a file with one usable question."""
    imported = import_exam(form, [path])
    assert imported.left_out == []
    (row,) = imported.rows
    return row
