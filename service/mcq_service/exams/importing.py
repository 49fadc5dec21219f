"""Published exams, rewritten as ours: what `python -m mcq_service exam import` does.

`records` and `moodle` read the files, `published` and `moodle` say what a record asks. What can't be asked as a
multiple-choice question with one right answer is left out, and said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from mcq_service.exams import moodle, published
from mcq_service.exams.answers import by_letter, written
from mcq_service.exams.errors import ExamUnreadable
from mcq_service.exams.questions import NotAskable, parse
from mcq_service.exams.records import Record, csv_lines, json_list, json_objects, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

Format = Literal[
    "agieval", "aiken", "aqua", "arc", "ceval", "cmmlu", "commonsenseqa", "cybermetric", "gift", "gpqa", "hellaswag",
    "medmcqa", "mmlu", "mmlu-pro", "race", "sciq", "truthfulqa",
]  # fmt: skip
FORMATS: tuple[Format, ...] = get_args(Format)
Row = dict[str, Any]


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
        read, question_of = _reader(form, path)
        for record in read(path):
            try:
                row = question_of(record)
                question = parse({**row, "id": f"{form}/{row['id']}"}, answer=by_letter)
                answer = written(question.answer, question.question.options)
            except (NotAskable, ValueError) as error:
                made.left_out.append(f"{record.place}: {error}")
                continue
            if before := places.get(question.digest):
                made.left_out.append(f"{record.place}: the same question as {before}")
                continue
            places[question.digest] = record.place
            made.rows.append({**row, "id": question.id, "answer": answer})
    if not made.rows:
        why = f" The first: {made.left_out[0]}" if made.left_out else ""
        raise ExamUnreadable(f"{', '.join(map(str, paths))}: there is no {form} question in it.{why}")  # noqa: EM102
    return made


Reader = tuple["Callable[[Path], Iterable[Record]]", "Callable[[Record], Row]"]


def _reader(form: Format, path: Path) -> Reader:
    if form == "mmlu" and path.suffix.lower() not in {".parquet", ".json", ".jsonl"}:
        return csv_lines, published.mmlu_csv
    return _READERS[form]


def _medmcqa(path: Path) -> list[Record]:
    return published.cop_from_one(list(records(path)))


_READERS: dict[Format, Reader] = {
    "agieval": (json_objects, published.agieval),
    "aiken": (moodle.aiken_records, moodle.aiken),
    "aqua": (json_objects, published.aqua),
    "arc": (records, published.arc),
    "ceval": (records, published.cmmlu),
    "cmmlu": (records, published.cmmlu),
    "commonsenseqa": (records, published.arc),
    "cybermetric": (partial(json_list, key="questions"), published.cybermetric),
    "gift": (moodle.gift_records, moodle.gift),
    "gpqa": (records, published.gpqa),
    "hellaswag": (records, published.hellaswag),
    "medmcqa": (_medmcqa, published.medmcqa),
    "mmlu": (records, published.mmlu),
    "mmlu-pro": (records, published.mmlu_pro),
    "race": (records, published.race),
    "sciq": (records, published.sciq),
    "truthfulqa": (records, published.truthfulqa),
}
