"""Read the files of published exams: JSON, CSV with or without a header, Parquet. A question is a record."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, NamedTuple

from mcq_eval.dataset.text_files import json_lines, json_object, json_value, read_text
from mcq_eval.errors import ExamUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_PARQUET = "reading Parquet needs pyarrow, which is not installed: pip install 'mcq-service[parquet]'"
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


class Record(NamedTuple):
    """One question in a file: its place in words, its number in the file from 0, and its values."""

    place: str
    path: Path
    number: int
    values: Any


def records(path: Path) -> Iterator[Record]:
    """Read the records of a file with named columns, by the ending of its name. Raises ExamUnreadable."""
    match path.suffix.lower():
        case ".parquet":
            return parquet(path)
        case ".csv":
            return csv_records(path)
    return json_objects(path)


def json_objects(path: Path) -> Iterator[Record]:
    """Yield the objects of JSON lines, or of one JSON array."""
    text = read_text(path)
    if text.lstrip().startswith("["):
        listed = json_value(text, place=str(path))
        placed = [(f"{path}:[{number}]", value) for number, value in enumerate(listed)]
    else:
        placed = list(json_lines(path, text))
    for number, (place, value) in enumerate(placed):
        yield Record(place, path, number, json_object(value, place=place))


def json_list(path: Path, key: str) -> Iterator[Record]:
    """Yield the objects of the list that a JSON object has under a key."""
    document = json_value(read_text(path), place=str(path))
    listed = document.get(key) if isinstance(document, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise ExamUnreadable(f"{path}: it is not a JSON object with a list {key} of objects.")
    for number, value in enumerate(listed):
        yield Record(f"{path}:{key}[{number}]", path, number, value)


def csv_lines(path: Path) -> Iterator[Record]:
    """Yield the lines of a CSV file, as lists of cells."""
    lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    number = 0
    while True:
        try:
            cells = next(lines, None)
        except csv.Error as error:
            raise ExamUnreadable(f"{path}:{lines.line_num}: {error}") from error
        if cells is None:
            return
        if cells:
            yield Record(f"{path}:{lines.line_num}", path, number, cells)
            number += 1


def csv_records(path: Path) -> Iterator[Record]:
    """Yield the lines of a CSV file with the columns' names in its first line."""
    lines = csv_lines(path)
    header = next(lines, None)
    if header is None:
        return
    names = header.values
    if hint := separator_hint(header):
        raise ExamUnreadable(f"{header.place}: {len(names)} columns{hint}.")
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ExamUnreadable(f"{header.place}: the column {', '.join(sorted(repeated))} appears twice.")
    for record in lines:
        if len(record.values) != len(names):
            hint = separator_hint(record)
            raise ExamUnreadable(
                f"{record.place}: {len(record.values)} columns, and the header has {len(names)}{hint}."
            )
        values = dict(zip(names, record.values, strict=True))
        yield record._replace(number=record.number - 1, values=values)


def separator_hint(record: Record) -> str:
    """Return a hint if a line's cells look separated by something other than commas."""
    line = ",".join(record.values)
    for separator, name in _SEPARATORS.items():
        if line.count(separator) >= 4 and len(record.values) < 4:
            return f"; it looks separated by {name}: save it with commas"
    return ""


def parquet(path: Path) -> Iterator[Record]:
    """Yield the rows of a Parquet file, the format of the Hugging Face Hub."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ExamUnreadable(f"{path}: {NO_PARQUET}.") from error
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for values in batch.to_pylist():
                    yield Record(f"{path}:{number + 1}", path, number, values)
                    number += 1
    except OSError as error:
        raise ExamUnreadable(f"{path} can't be read: {error.strerror or error}.") from error
    except pa.ArrowException as error:
        raise ExamUnreadable(f"{path} is not a Parquet file: {error}") from error
