"""Published exams, rewritten as ours: what `python -m mcq_service exam import` does.

- `mmlu`: Hendrycks et al. (arXiv 2009.03300), a CSV file without a header a subject: question, four choices, letter.
- `aqua`: AQuA-RAT (arXiv 1705.04146), a JSON object a line: `question`, `options` as "A)…", `correct`.
- `agieval`: AGIEval v1 (arXiv 2304.06364), a JSON object a line: `passage`, `question`, `options` as "(A)…", `label`.

What can't be asked as a multiple-choice question with one right answer is left out, and said.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from mcq_service.exams.answers import by_letter, written
from mcq_service.exams.errors import ExamUnreadable
from mcq_service.exams.marks import unmarked
from mcq_service.exams.questions import NotAskable, json_lines, parse, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

Format = Literal["mmlu", "aqua", "agieval"]
FORMATS: tuple[Format, ...] = get_args(Format)
Row = dict[str, Any]

_SPLITS = re.compile(r"_(test|dev|val)$")
_MMLU_COLUMNS = 6


class Record(NamedTuple):
    """One question as a file has it: its place in words, its number in the file from 0, and its values."""

    place: str
    path: Path
    number: int
    values: Any


@dataclass
class Imported:
    """`rows` are lines of an exam; `left_out` says in words what isn't among them, and why."""

    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def imported(form: Format, paths: Sequence[Path]) -> Imported:
    """Read files of a published exam. Raises ExamUnreadable, which names file and line."""
    made = Imported()
    places: dict[str, str] = {}
    read, question_of = _FORMATS[form]
    for record in (record for path in paths for record in read(path)):
        try:
            row = question_of(record)
            question = parse(row, answer=by_letter)
            row["answer"] = written(question.answer, question.question.options)
        except (NotAskable, ValueError) as error:
            made.left_out.append(f"{record.place}: {error}")
            continue
        if before := places.get(question.digest):
            made.left_out.append(f"{record.place}: the same question as {before}")
            continue
        places[question.digest] = record.place
        made.rows.append(row)
    if not made.rows:
        why = f" The first: {made.left_out[0]}" if made.left_out else ""
        raise ExamUnreadable(f"{', '.join(map(str, paths))}: there is no {form} question in it.{why}")  # noqa: EM102
    return made


def _csv_lines(path: Path) -> Iterator[Record]:
    lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    index = 0
    while True:
        try:
            cells = next(lines, None)
        except csv.Error as error:
            raise ExamUnreadable(f"{path}:{lines.line_num}: {error}") from error  # noqa: EM102
        if cells is None:
            return
        if cells:
            yield Record(f"{path}:{lines.line_num}", path, index, cells)
            index += 1


def _json_objects(path: Path) -> Iterator[Record]:
    for index, (place, value) in enumerate(json_lines(path, read_text(path))):
        if not isinstance(value, dict):
            raise ExamUnreadable(f"{place}: it is not a JSON object.")  # noqa: EM102
        yield Record(place, path, index, value)


def _mmlu(record: Record) -> Row:
    cells = record.values
    if len(cells) != _MMLU_COLUMNS:
        msg = f"{record.place}: {len(cells)} columns are not question, four choices and letter."
        raise ExamUnreadable(msg)
    question, *choices, answer = cells
    return {
        "id": f"mmlu/{record.path.stem}/{record.number}",
        "subject": _SPLITS.sub("", record.path.stem),
        "question": question,
        "choices": choices,
        "answer": answer.strip(),
    }


def _aqua(record: Record) -> Row:
    return {
        "id": f"aqua/{record.path.name}/{record.number}",
        "subject": "algebra",
        "question": record.values.get("question"),
        "choices": _choices(record.values.get("options")),
        "answer": record.values.get("correct"),
    }


def _agieval(record: Record) -> Row:
    values = record.values
    label = values.get("label")
    # The Chinese bar exam's answers are lists, most of them of more than one letter.
    letters = "".join(map(str, label)) if isinstance(label, list) else label
    parts = [part for part in (values.get("passage"), values.get("question")) if part]
    return {
        "id": f"agieval/{record.path.name}/{record.number}",
        "subject": record.path.stem,
        "question": "\n\n".join(map(str, parts)),
        "choices": _choices(values.get("options")),
        "answer": letters,
    }


def _choices(options: object) -> list[str]:
    """Options without their marks, in the order of the marks. Raises NotAskable."""
    if options is None:
        raise NotAskable("it has no choices")
    if not isinstance(options, list) or not all(isinstance(each, str) for each in options):
        raise NotAskable("options: they are not a list of strings")
    return unmarked(options)


_FORMATS: dict[Format, tuple[Callable[[Path], Iterator[Record]], Callable[[Record], Row]]] = {
    "mmlu": (_csv_lines, _mmlu),
    "aqua": (_json_objects, _aqua),
    "agieval": (_json_objects, _agieval),
}
