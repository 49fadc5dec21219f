"""Read files of text and of JSON; an error names the file and the line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from mcq_eval.errors import ExamUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BYTE_ORDER_MARK = re.compile("^\ufeff", re.MULTILINE)


class NotJSON(ExamUnreadable):
    """A text is not JSON, or not the JSON object that it should be."""


def read_text(path: Path) -> str:
    """Return a file's text with its line ends, but without byte-order marks. Raises ExamUnreadable."""
    try:
        # Concatenated files have a mark in the middle, too.
        return _BYTE_ORDER_MARK.sub("", path.read_bytes().decode())
    except OSError as error:
        raise ExamUnreadable(f"{path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8."
        raise ExamUnreadable(msg) from error


def json_lines(path: Path, text: str) -> Iterator[tuple[str, object]]:
    """Yield the place and the value of each line of a file. Raises ExamUnreadable."""
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: a JSON string may hold U+2028
        if not line.strip():
            continue
        place = f"{path}:{number}"
        yield place, json_value(line, place=place)


def json_value(text: str, *, place: str) -> Any:
    """Parse a JSON text. Raises ExamUnreadable, also for a repeated key, which would lose a value."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise NotJSON(f"{place}: this is not JSON: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise ExamUnreadable(f"{place}: {error}") from error


def json_object(value: object, *, place: str) -> dict[str, Any]:
    """Return the value. Raises NotJSON unless it is a JSON object."""
    if not isinstance(value, dict):
        raise NotJSON(f"{place}: it is not a JSON object.")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise ValueError(f"the key {json.dumps(key, ensure_ascii=False)} appears twice: remove one")
        fields[key] = value
    return fields
