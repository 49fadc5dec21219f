"""The result of one part of an exam, and the report of all parts."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from mcq_eval.dataset.exam import Split
from mcq_eval.errors import AskingFailed, ModelChanged
from mcq_eval.report.comparison import compare
from mcq_eval.report.exam_report import Figures, Latency, Report
from mcq_eval.report.rows import Failure, Row
from mcq_eval.verdict import Limits, judge
from mcq_service.api.mcq.answer_schemas import Usage
from mcq_service.api.mcq.question_schemas import Debias
from mcq_service.api.service.schemas import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcq_eval.dataset.exam import AnyExamQuestion

NO_LIMITS = Limits()


class Part(BaseModel):
    """The result of one part of an exam. `model` is null if no question was answered; `seconds` is wall time."""

    model_config = ConfigDict(protected_namespaces=())

    target: str
    model: str | None
    identity: Identity | None
    debias: Debias | None
    split: Split
    exams: dict[str, str]
    duplicates: list[str]
    skipped: list[str]
    ended: datetime
    seconds: float
    at_once: int
    tokens: Usage
    failures: list[Failure]
    rows: list[Row]

    @property
    def source(self) -> tuple[object, ...]:
        """The model, its identity and the exams: the same in all parts of a result."""
        return self.model, self.identity, self.exams


def build_report(
    parts: Sequence[Part], *, before: Sequence[Row] | None = None, limits: Limits = NO_LIMITS
) -> Report:
    """Build the report of the whole exam. `before` is an earlier result, which a limit on the regression needs.

    Raises AskingFailed if no question was answered, and ModelChanged if the parts differ in model, prompt or exam.
    """
    answered = [part for part in parts if part.rows]
    failures = [failure for part in parts for failure in part.failures]
    if not answered:
        raise AskingFailed(f"No question was answered. The first: {failures[0].detail}")
    first = answered[0]
    if any(part.source != first.source for part in answered):
        raise ModelChanged("Different models or prompts answered the parts of the exam.")
    rows = [row for part in parts for row in part.rows]
    identity = first.identity
    figures = Figures.of([row.outcome for row in rows])
    compared = None if before is None else compare(before, rows, failures)
    latency = Latency.of(rows, at_once=sum(part.at_once for part in parts))
    return Report(
        created=max(part.ended for part in parts),
        target=first.target,
        model=first.model or "",
        model_digest=identity and identity.digest,
        precision=identity and identity.precision,
        prompt_digest=identity and identity.prompt_digest,
        debias=first.debias,
        split=first.split,
        exams=first.exams,
        duplicates=first.duplicates,
        skipped=first.skipped,
        seconds=max(part.seconds for part in parts),
        latency=latency,
        tokens=total_usage(part.tokens for part in parts),
        figures=figures,
        compared=compared,
        shards=len(parts),
        unanswered=len(failures),
        verdict=judge(figures, compared, latency, limits, unanswered=len(failures)),
        failures=failures,
        rows=rows,
    )


def placeholder_part(questions: Sequence[AnyExamQuestion]) -> Part:
    """Return a part with random answers to these questions. It takes as much space as the real part will."""
    chance = random.Random(0)
    rows = [
        Row(
            id=each.id,
            digest=each.keyed_digest,
            subject=each.subject,
            labels=each.labels,
            answer=each.labels[each.answer],
            chosen=chance.choice(each.labels),
            probabilities=[chance.random() for _ in each.labels],
            abstained=False,
            answer_ms=1000 * chance.random(),
        )
        for each in questions
    ]
    return Part(
        target="", model=None, identity=None, debias=None, split="all", exams={}, duplicates=[], skipped=[],
        ended=datetime.now(UTC), seconds=0, at_once=0, tokens=total_usage([]), failures=[], rows=rows,
    )  # fmt: skip


def total_usage(usages: Iterable[Usage]) -> Usage:
    """Return the sum of the usages."""
    return sum(usages, start=Usage(prompt_tokens=0, completion_tokens=0, cached_tokens=0))
