"""Read exams: files of questions with known answers, in two halves.

A file has one JSON object a line: `id`, `question`, `choices` (a list, or a map of letters), `answer` (the letter of
the right choice, its position from 0, or its text; see `answer_key`), and optionally `subject`. Other keys are
ignored. A line with `type` is a typed question; see `typed_question`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from mcq_eval.dataset.answer_key import answer_position
from mcq_eval.dataset.typed_question import DecisionQuestion, one_line, parse_typed
from mcq_eval.errors import ExamUnreadable
from mcq_service.api.mcq.question_schemas import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mcq_service.api.mcq.choices import Option

Half = Literal["calibration", "evaluation"]
Split = Literal["calibration", "evaluation", "all"]
_BYTE_ORDER_MARK = re.compile("^\ufeff", re.MULTILINE)
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, kw_only=True)
class _WithAnswer:
    """A question's answer, a position among its labels, from 0.

    `digest` is the digest of the content, without its place, id, spacing and order of choices. `exam` is the name of
    the file.
    """

    id: str
    subject: str | None
    answer: int
    digest: str
    exam: str = ""

    @property
    def half(self) -> Half:
        """The half that the question belongs to: a coin toss that depends only on its content."""
        return "calibration" if int(self.digest[-1], 16) % 2 else "evaluation"


@dataclass(frozen=True, kw_only=True)
class ExamQuestion(_WithAnswer):
    """A multiple-choice question with its answer."""

    question: Question

    @property
    def labels(self) -> list[str]:
        """The letters of the choices, in their order."""
        return [option.label for option in self.question.options]


@dataclass(frozen=True, kw_only=True)
class TypedExamQuestion(_WithAnswer):
    """A predicate or a score with its answer."""

    question: DecisionQuestion

    @property
    def labels(self) -> list[str]:
        """True and False, or the levels, in their order."""
        return self.question.labels


AnyExamQuestion = ExamQuestion | TypedExamQuestion


@dataclass
class Exam:
    """The questions of one or several files, without duplicates: multiple-choice questions, and typed ones.

    `digests` are of the files (SHA-256), by name. `duplicates` and `skipped` have a line for each question left out.
    """

    questions: list[ExamQuestion] = field(default_factory=list)
    typed: list[TypedExamQuestion] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    duplicates: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def select(self, split: Split, limit: int | None = None) -> list[AnyExamQuestion]:
        """Return the questions of a half, or all; at most `limit`, chosen by their content and not by their order."""
        every: list[AnyExamQuestion] = [*self.questions, *self.typed]
        chosen = [each for each in every if split in {"all", each.half}]
        if limit is None or limit >= len(chosen):
            return chosen
        kept = {each.digest for each in sorted(chosen, key=lambda each: each.digest)[:limit]}
        return [each for each in chosen if each.digest in kept]


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
        exam.digests[path.name] = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        _read_lines(exam, places, path, text)
    if not (exam.questions or exam.typed):
        raise ExamUnreadable(f"{', '.join(map(str, paths))}: the file has no questions.")
    return exam


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
    except (ValueError, RecursionError) as error:
        raise ExamUnreadable(f"{place}: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise ValueError(f"the key {json.dumps(key, ensure_ascii=False)} appears twice: remove one")
        fields[key] = value
    return fields


def _read_lines(exam: Exam, places: dict[str, str], path: Path, text: str) -> None:
    for place, value in json_lines(path, text):
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


def _parse_line(value: object) -> AnyExamQuestion:
    """Parse a line's object. Raises ValueError or NotAskable."""
    if not isinstance(value, dict) or "type" not in value:
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


def content_digest(question: Question) -> str:
    """Return the SHA-256 (hex) of a question's words and choices, whatever the choices' order and letters.

    Spacing does not count, unless two choices differ only in it.
    """
    words = " ".join(question.question.split())
    choices = sorted(" ".join(option.text.split()) for option in question.options)
    if len(set(choices)) < len(choices):
        choices = sorted("\n".join(option.lines) for option in question.options)
    return hashlib.sha256(json.dumps([words, choices]).encode()).hexdigest()
