"""An exam: questions with known answers, in two halves."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from mcq_eval.dataset.typed_question import DecisionQuestion
    from mcq_service.api.mcq.question_schemas import Question

Half = Literal["calibration", "evaluation"]
Split = Literal["calibration", "evaluation", "all"]
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

    @property
    def keyed_digest(self) -> str:
        """The SHA-256 of the content and the right answer: results are compared on questions where it is equal."""
        return _keyed(self.digest, self.question.options[self.answer].text)


@dataclass(frozen=True, kw_only=True)
class TypedExamQuestion(_WithAnswer):
    """A predicate or a score with its answer."""

    question: DecisionQuestion

    @property
    def labels(self) -> list[str]:
        """True and False, or the levels, in their order."""
        return self.question.labels

    @property
    def keyed_digest(self) -> str:
        """See ExamQuestion."""
        return _keyed(self.digest, self.labels[self.answer])


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


def _keyed(digest: str, right: str) -> str:
    return hashlib.sha256(f"{digest} {right}".encode()).hexdigest()


def content_digest(question: Question) -> str:
    """Return the SHA-256 (hex) of a question's words and choices, whatever the choices' order and letters.

    Spacing does not count, unless two choices differ only in it.
    """
    words = " ".join(question.question.split())
    choices = sorted(" ".join(option.text.split()) for option in question.options)
    if len(set(choices)) < len(choices):
        choices = sorted("\n".join(option.lines) for option in question.options)
    return hashlib.sha256(json.dumps([words, choices]).encode()).hexdigest()
