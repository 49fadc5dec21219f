"""Read exams from files.

A file has one JSON object a line: `id`, `question`, `choices` (a list, or a map of letters), `answer` (the letter of
the right choice, its position from 0, or its text; see `answer_key`), and optionally `subject`. Other keys are
ignored. A line with `type` is a typed question; see `typed_question`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from mcq_eval.dataset.answer_key import answer_position
from mcq_eval.dataset.exam import AnyExamQuestion, Exam, ExamQuestion, TypedExamQuestion, content_digest
from mcq_eval.dataset.text_files import NotJSON, json_lines, json_object, read_text
from mcq_eval.dataset.typed_question import parse_typed
from mcq_eval.errors import ExamUnreadable, one_line
from mcq_service.api.mcq.question_schemas import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mcq_service.api.mcq.choices import Option


class _Row(BaseModel):
    """One line of a file."""

    model_config = ConfigDict(extra="ignore")

    id: str
    subject: str | None = None
    question: str
    choices: list[str] | dict[str, str]
    answer: Any

    @field_validator("id", mode="before")
    @classmethod
    def _any_id(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value


def read_exams(paths: Sequence[Path]) -> Exam:
    """Read exams. Raises ExamUnreadable, which names file and line."""
    exam = Exam()
    places: dict[str, str] = {}
    for path in paths:
        text = read_text(path)
        if path.name in exam.digests:
            raise ExamUnreadable(
                f"{path}: another file has the same name, and a result names its files: rename one."
            )
        exam.digests[path.name] = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        _read_lines(exam, places, path, text)
    if not (exam.questions or exam.typed):
        raise ExamUnreadable(f"{', '.join(map(str, paths))}: the file has no questions.")
    return exam


def _read_lines(exam: Exam, places: dict[str, str], path: Path, text: str) -> None:
    for place, value in _json_objects(path, text):
        try:
            question = _parse_line(value)
        except NotAskable as error:
            exam.skipped.append(f"{place}: {error}")
            continue
        except ValueError as error:
            raise ExamUnreadable(f"{place}: {error}") from error
        if before := places.get(question.digest):
            exam.duplicates.append(f"{place}: the same question as {before}")
            continue
        places[question.digest] = place
        if isinstance(question, TypedExamQuestion):
            exam.typed.append(replace(question, exam=path.name))
        else:
            exam.questions.append(replace(question, exam=path.name))


def _json_objects(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        for place, value in json_lines(path, text):
            yield place, json_object(value, place=place)
    except NotJSON as error:
        raise ExamUnreadable(
            f"{error} An exam has one JSON object in each line; `python -m mcq_service exam import` converts others."
        ) from error


def _parse_line(value: dict[str, Any]) -> AnyExamQuestion:
    """Parse a line's object. Raises ValueError or NotAskable."""
    if "type" not in value:
        return parse_question(value)
    row = parse_typed(value)
    return TypedExamQuestion(
        id=row.id, subject=row.subject, question=row.question, answer=row.position, digest=row.question.digest
    )


class NotAskable(Exception):
    """The line is well-formed, but the service can't ask its question."""


def parse_question(
    value: object, *, answer: Callable[[object, Sequence[Option]], int] = answer_position
) -> ExamQuestion:
    """Parse a line's object; `answer` finds the right choice's position.

    Raises ValueError, which says in one line what is wrong, or NotAskable.
    """
    try:
        return _parse(value, answer)
    except ValidationError as error:
        raise ValueError(one_line(error)) from error


def _parse(value: object, answer: Callable[[object, Sequence[Option]], int]) -> ExamQuestion:
    row = _Row.model_validate(value)
    try:
        question = Question(question=row.question, choices=row.choices)
    except ValidationError as error:
        if all(each["type"] == "duplicate_choice" for each in error.errors()):
            raise NotAskable(one_line(error)) from error
        raise
    if len(question.choices) > len(ascii_uppercase):
        raise ValueError(f"choices: a question of an exam has at most {len(ascii_uppercase)} choices")
    return ExamQuestion(
        id=row.id,
        subject=row.subject,
        question=question,
        answer=answer(row.answer, question.options),
        digest=content_digest(question),
    )
