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
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any, Literal, get_args

from mcq_service.exams.errors import ExamUnreadable
from mcq_service.exams.questions import NotAskable, json_lines, parse, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

Format = Literal["mmlu", "aqua", "agieval"]
FORMATS: tuple[Format, ...] = get_args(Format)
Row = dict[str, Any]

_SPLITS = re.compile(r"_(test|dev|val)$")
_MMLU_COLUMNS = 6


@dataclass
class Imported:
    """`rows` are lines of an exam; `left_out` says in words what isn't among them, and why."""

    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def imported(form: Format, paths: Sequence[Path]) -> Imported:
    """Read files of a published exam. Raises ExamUnreadable, which names file and line."""
    made = Imported()
    places: dict[str, str] = {}
    for path in paths:
        for place, row in _READERS[form](path, read_text(path)):
            try:
                if row["choices"] is None:
                    raise NotAskable("it has no choices")
                question = parse(row)
            except (NotAskable, ValueError) as error:
                made.left_out.append(f"{place}: {error}")
            else:
                if before := places.get(question.digest):
                    made.left_out.append(f"{place}: the same question as {before}")
                    continue
                places[question.digest] = place
                made.rows.append(row)
    if not made.rows:
        why = f" The first: {made.left_out[0]}" if made.left_out else ""
        raise ExamUnreadable(f"{', '.join(map(str, paths))}: there is no {form} question in it.{why}")  # noqa: EM102
    return made


def _mmlu(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    index = 0
    while True:
        try:
            cells = next(lines, None)
        except csv.Error as error:
            raise ExamUnreadable(f"{path}:{lines.line_num}: {error}") from error  # noqa: EM102
        if cells is None:
            return
        if not cells:
            continue
        if len(cells) != _MMLU_COLUMNS:
            msg = f"{path}:{lines.line_num}: {len(cells)} columns are not question, four choices and letter."
            raise ExamUnreadable(msg)
        question, *choices, answer = cells
        yield (
            f"{path}:{lines.line_num}",
            {
                "id": f"mmlu/{path.stem}/{index}",
                "subject": _SPLITS.sub("", path.stem),
                "question": question,
                "choices": choices,
                "answer": answer,
            },
        )
        index += 1


def _aqua(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    for place, index, row in _json_objects(path, text):
        yield (
            place,
            {
                "id": f"aqua/{path.name}/{index}",
                "subject": "algebra",
                "question": row.get("question"),
                "choices": _unmarked(row.get("options")),
                "answer": row.get("correct"),
            },
        )


def _agieval(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    for place, index, row in _json_objects(path, text):
        label = row.get("label")
        # The Chinese bar exam's answers are lists, most of them of more than one letter.
        letters = "".join(map(str, label)) if isinstance(label, list) else label
        parts = [part for part in (row.get("passage"), row.get("question")) if part]
        yield (
            place,
            {
                "id": f"agieval/{path.name}/{index}",
                "subject": path.stem,
                "question": "\n\n".join(map(str, parts)),
                "choices": _unmarked(row.get("options")),
                "answer": letters,
            },
        )


def _json_objects(path: Path, text: str) -> Iterator[tuple[str, int, Row]]:
    """Places, positions among the objects from 0, and the objects."""
    for index, (place, row) in enumerate(json_lines(path, text)):
        if not isinstance(row, dict):
            raise ExamUnreadable(f"{place}: it is not a JSON object.")  # noqa: EM102
        yield place, index, row


def _unmarked(options: object) -> object:
    """The choices without the letters before them, where each has its own."""
    if not isinstance(options, list) or not all(isinstance(each, str) for each in options):
        return options
    marks = [
        re.match(rf"\s*(?:[(（]\s*{letter}\s*[)）]|{letter}\s*[).．、:：])\s*", option)  # noqa: RUF001 - as they are
        for letter, option in zip(ascii_uppercase, options, strict=False)
    ]
    found = [mark.end() for mark in marks if mark]
    if len(found) != len(options):
        return options
    return [option[end:].rstrip() for option, end in zip(options, found, strict=True)]


_READERS: dict[Format, Callable[[Path, str], Iterator[tuple[str, Row]]]] = {
    "mmlu": _mmlu,
    "aqua": _aqua,
    "agieval": _agieval,
}
