"""Convert published exams to ours, for `python -m mcq_service exam import`.

`records` and `moodle` read the files, `published` and `moodle` convert each record. Records that are not
multiple-choice questions with one right answer are left out and listed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from mcq_eval.dataset.answer_key import position_of_letter, unambiguous_answer
from mcq_eval.dataset.exam_file import NotAskable, parse_question
from mcq_eval.errors import ExamUnreadable
from mcq_eval.importing import moodle, published
from mcq_eval.importing.records import Record, csv_lines, json_list, json_objects, records

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
class ImportedExam:
    """The lines of an exam; `left_out` has a line for each record left out, with the reason."""

    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def import_exam(format_: Format, paths: Sequence[Path]) -> ImportedExam:
    """Convert files of a published exam. Raises ExamUnreadable, which names file and line."""
    exam = ImportedExam()
    places: dict[str, str] = {}
    for path in paths:
        read, convert = _reader(format_, path)
        for record in read(path):
            try:
                row = convert(record)
                question = parse_question({**row, "id": f"{format_}/{row['id']}"}, answer=position_of_letter)
                answer = unambiguous_answer(question.answer, question.question.options)
            except (NotAskable, ValueError) as error:
                exam.left_out.append(f"{record.place}: {error}")
                continue
            if before := places.get(question.digest):
                exam.left_out.append(f"{record.place}: the same question as {before}")
                continue
            places[question.digest] = record.place
            exam.rows.append({**row, "id": question.id, "answer": answer})
    if not exam.rows:
        why = f" The first: {exam.left_out[0]}" if exam.left_out else ""
        raise ExamUnreadable(f"{', '.join(map(str, paths))}: the files have no {format_} question.{why}")
    return exam


Reader = tuple["Callable[[Path], Iterable[Record]]", "Callable[[Record], Row]"]


def _reader(format_: Format, path: Path) -> Reader:
    if format_ == "mmlu" and path.suffix.lower() not in {".parquet", ".json", ".jsonl"}:
        return csv_lines, published.mmlu_csv
    return _READERS[format_]


def _medmcqa(path: Path) -> list[Record]:
    return published.zero_based_cop(list(records(path)))


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
