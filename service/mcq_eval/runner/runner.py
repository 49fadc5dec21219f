"""Run an exam: ask every question, or score every question for a calibration."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from mcq_eval.calibration_fit.fit import best_form, fit_calibration
from mcq_eval.dataset.exam import ExamQuestion
from mcq_eval.errors import AskingFailed, ExamUnreadable
from mcq_eval.parts import Part, total_usage
from mcq_eval.report.rows import Failure, Row
from mcq_eval.runner.answerers import ALONE, answer_all, score_all
from mcq_eval.runner.question_counter import count_progress
from mcq_service.mcq.calibration import FittedOn, StoredCalibration

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_eval.calibration_fit.fit import Fit
    from mcq_eval.dataset.exam import AnyExamQuestion, Exam, Split
    from mcq_eval.runner.answerers import Answerer, Pace, Scorer
    from mcq_service.api.mcq.answer_schemas import Answer, Result
    from mcq_service.api.mcq.question_schemas import Debias
    from mcq_service.api.service.schemas import Identity
    from mcq_service.model_store import PreparedModel
    from mcq_service.prompts import Forms

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


@dataclass(frozen=True)
class ExamSpec:
    """The questions to ask, and how to ask them. None: the default of the service or model."""

    exam: Exam
    split: Split
    limit: int | None = None
    debias: Debias | None = None
    min_confidence: float | None = None
    shard: int = 0
    shards: int = 1

    @property
    def questions(self) -> list[AnyExamQuestion]:
        """This shard's questions of the split. Raises ExamUnreadable if the split has none."""
        questions = self.exam.select(self.split, self.limit)
        if not questions:
            raise ExamUnreadable(f"The exam has no question in its {self.split} split.")
        first, end = (len(questions) * shard // self.shards for shard in (self.shard, self.shard + 1))
        return questions[first:end]


async def run_exam(
    answerer: Answerer,
    spec: ExamSpec,
    *,
    target: str,
    identity: Identity | None,
    stream: TextIO,
    pace: Pace = ALONE,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Part:
    """Ask every question of `spec`; write progress to `stream`.

    `identity` is the answerer's, if known. Raises ExamError. If no question was answered, it raises only if a later
    try may answer some.
    """
    questions = spec.questions
    options = {"mode": "answer", "debias": spec.debias, "min_confidence": spec.min_confidence}
    asked = [
        each.question.model_copy(update=options) if isinstance(each, ExamQuestion) else each.question
        for each in questions
    ]
    with count_progress("asked", len(asked), stream) as advance:
        started = clock()
        results = await answer_all(answerer, asked, advance=advance, pace=pace)
        seconds = clock() - started
    answered: list[tuple[AnyExamQuestion, Answer]] = []
    failures = []
    for question, result in zip(questions, results.results, strict=True):
        if result.answer is None:
            failures.append(Failure(id=question.id, digest=question.keyed_digest, detail=_reason(result)))
        else:
            answered.append((question, result.answer))
    if not answered and any(map(_may_succeed_later, results.results)):
        raise AskingFailed(f"No question was answered. The first: {failures[0].detail}")
    return Part(
        target=target,
        model=answered[0][1].model if answered else None,
        identity=identity,
        debias=spec.debias,
        split=spec.split,
        exams=spec.exam.digests,
        duplicates=spec.exam.duplicates,
        skipped=spec.exam.skipped,
        ended=now(),
        seconds=seconds,
        at_once=pace.at_once,
        tokens=total_usage(answer.usage for _, answer in answered),
        failures=failures,
        rows=[_row(question, answer) for question, answer in answered],
    )


def _may_succeed_later(result: Result) -> bool:
    """True if the same question may be answered by a later try."""
    problem = result.problem
    return problem is None or problem.status == _TOO_MANY_REQUESTS or problem.status >= _SERVER_ERROR


def _reason(result: Result) -> str:
    if result.problem is None:
        return "The service gave no reason."
    return f"{result.problem.title}: {result.problem.detail}"


def _row(question: AnyExamQuestion, answer: Answer) -> Row:
    probabilities = [each.probability for each in answer.probabilities]
    return Row(
        id=question.id,
        digest=question.keyed_digest,
        subject=question.subject,
        labels=question.labels,
        answer=question.labels[question.answer],
        chosen=question.labels[max(range(len(probabilities)), key=probabilities.__getitem__)],
        probabilities=probabilities,
        abstained=answer.abstained,
        answer_ms=answer.timings.answer_ms,
        type="choice" if isinstance(question, ExamQuestion) else question.question.type,
    )


async def calibrate(
    scorer: Scorer, spec: ExamSpec, prepared: PreparedModel, forms: Forms, *, stream: TextIO,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[StoredCalibration, Fit]:  # fmt: skip
    """Score every question in every form, then in all rotations in the best form, and fit. Raises ExamError.

    Write progress to `stream`.
    """
    questions = [each for each in spec.questions if isinstance(each, ExamQuestion)]
    if not questions:
        raise ExamUnreadable(
            "A calibration needs multiple-choice questions. Typed questions are asked in both orders instead."
        )
    with count_progress("scored", len(questions) * len(forms.answering), stream) as advance:
        scored = {
            name: await score_all(scorer, questions, form, rotate=False, advance=advance)
            for name, form in forms.answering.items()
        }
    best, trials = best_form(scored)
    with count_progress("scored in all rotations", len(questions), stream) as advance:
        rotated = await score_all(scorer, questions, forms.answering[best], rotate=True, advance=advance)
    fit = fit_calibration(rotated, forms.answering[best].digest)
    stored = StoredCalibration(
        **fit.calibration.model_dump(),
        model_uri=prepared.uri,
        model_digest=prepared.digest,
        precision=prepared.precision,
        fitted_on=FittedOn(exams=spec.exam.digests, questions=len(fit.raw)),
        created=now(),
    )
    return stored, replace(fit, trials=[*trials, *fit.trials])
