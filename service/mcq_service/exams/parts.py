"""What one asker's share of an exam came to, and the report that all shares make."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from mcq_service.api.mcq.schemas import Debias, Usage
from mcq_service.api.service.schemas import Identity
from mcq_service.exams import judging
from mcq_service.exams.errors import AskingFailed, ModelChanged
from mcq_service.exams.judging import Limits
from mcq_service.exams.questions import Split
from mcq_service.exams.report import Failure, Figures, Latency, Report, Row, compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcq_service.exams.questions import ExamQuestion

NO_LIMITS = Limits()


class Part(BaseModel):
    """The questions that one asker asked. `model` is null where none was answered; `seconds` of wall time."""

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
        """What has to be the same in all parts of a result."""
        return self.model, self.identity, self.exams


def report(
    parts: Sequence[Part], *, before: Sequence[Row] | None = None, limits: Limits = NO_LIMITS
) -> Report:
    """The result of the whole exam; `before` is an earlier one, which a limit of the regression needs.

    Raises AskingFailed where no question was answered, and ModelChanged where not all parts are of the same model,
    prompt and exam.
    """
    answered = [part for part in parts if part.rows]
    failures = [failure for part in parts for failure in part.failures]
    if not answered:
        raise AskingFailed(f"No question was answered. The first: {failures[0].detail}")  # noqa: EM102
    first = answered[0]
    if any(part.source != first.source for part in answered):
        raise ModelChanged("Some questions were answered by one model or prompt, and some by another.")
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
        tokens=summed(part.tokens for part in parts),
        figures=figures,
        compared=compared,
        shards=len(parts),
        unanswered=len(failures),
        verdict=judging.judge(figures, compared, latency, limits, unanswered=len(failures)),
        failures=failures,
        rows=rows,
    )


def placeholder(questions: Sequence[ExamQuestion]) -> Part:
    """A part of these questions with answers by chance, which takes as much room as the true one will."""
    chance = random.Random(0)  # noqa: S311 - nothing secret
    rows = [
        Row(
            id=each.id,
            digest=each.digest,
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
        ended=datetime.now(UTC), seconds=0, at_once=0, tokens=summed([]), failures=[], rows=rows,
    )  # fmt: skip


def summed(usages: Iterable[Usage]) -> Usage:
    """All of them together."""
    listed = list(usages)
    return Usage(**{name: sum(getattr(each, name) for each in listed) for name in Usage.model_fields})
