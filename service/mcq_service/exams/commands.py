"""What the commands do, whoever is asked: ask every question, and score them for a calibration."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from mcq_service.answering.calibration import FittedOn, StoredCalibration
from mcq_service.exams import asking, console, fitting, report
from mcq_service.exams.errors import AskingFailed, ExamUnreadable
from mcq_service.exams.parts import Part, summed
from mcq_service.prompts import ANSWER_FORMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_service.api.mcq.schemas import Answer, Debias, Result
    from mcq_service.api.service.schemas import Identity
    from mcq_service.exams.asking import Asker, Pace, Scorer
    from mcq_service.exams.fitting import Fit
    from mcq_service.exams.questions import Exam, ExamQuestion, Split
    from mcq_service.model_store import PreparedModel

_TOO_MANY = 429
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Sitting:
    """Which questions are asked, and how; None: as whoever is asked has it by default."""

    exam: Exam
    split: Split
    limit: int | None = None
    debias: Debias | None = None
    min_confidence: float | None = None
    shard: int = 0
    shards: int = 1

    @property
    def questions(self) -> list[ExamQuestion]:
        """Those of the split that are this shard's. Raises ExamUnreadable where the split has none."""
        found = self.exam.part(self.split, self.limit)
        if not found:
            raise ExamUnreadable(f"The exam has no question in its {self.split} split.")  # noqa: EM102
        first, end = (len(found) * shard // self.shards for shard in (self.shard, self.shard + 1))
        return found[first:end]


async def hold(
    asker: Asker,
    sitting: Sitting,
    *,
    target: str,
    identity: Identity | None,
    stream: TextIO,
    pace: Pace = asking.ALONE,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Part:
    """Ask every question of the sitting; progress goes to `stream`.

    `identity` is that of who is asked, where it is known. Raises ExamError, also where no question was answered and
    some may be later.
    """
    questions = sitting.questions
    wish = {"mode": "answer", "debias": sitting.debias, "min_confidence": sitting.min_confidence}
    asked = [each.question.model_copy(update=wish) for each in questions]
    with console.counting("answered", len(asked), stream) as advance:
        started = clock()
        results = await asking.ask(asker, asked, advance=advance, pace=pace)
        seconds = clock() - started
    answered: list[tuple[ExamQuestion, Answer]] = []
    failures = []
    for question, result in zip(questions, results.results, strict=True):
        if result.answer is None:
            failures.append(report.Failure(id=question.id, digest=question.digest, detail=_why(result)))
        else:
            answered.append((question, result.answer))
    if not answered and any(map(_later, results.results)):
        raise AskingFailed(f"No question was answered. The first: {failures[0].detail}")  # noqa: EM102
    return Part(
        target=target,
        model=answered[0][1].model if answered else None,
        identity=identity,
        debias=sitting.debias,
        split=sitting.split,
        exams=sitting.exam.digests,
        duplicates=sitting.exam.duplicates,
        skipped=sitting.exam.skipped,
        ended=now(),
        seconds=seconds,
        at_once=pace.at_once,
        tokens=summed(answer.usage for _, answer in answered),
        failures=failures,
        rows=[_row(question, answer) for question, answer in answered],
    )


def _later(result: Result) -> bool:
    """Whether the question may be answered another time, and not only another question."""
    problem = result.problem
    return problem is None or problem.status == _TOO_MANY or problem.status >= _SERVER_ERROR


def _why(result: Result) -> str:
    if result.problem is None:
        return "The service said nothing of it."
    return f"{result.problem.title}: {result.problem.detail}"


def _row(question: ExamQuestion, answer: Answer) -> report.Row:
    probabilities = [each.probability for each in answer.probabilities]
    return report.Row(
        id=question.id,
        digest=question.digest,
        subject=question.subject,
        labels=question.labels,
        answer=question.labels[question.answer],
        chosen=question.labels[max(range(len(probabilities)), key=probabilities.__getitem__)],
        probabilities=probabilities,
        abstained=answer.abstained,
        answer_ms=answer.timings.answer_ms,
    )


async def calibrate(
    scorer: Scorer, sitting: Sitting, prepared: PreparedModel, *, stream: TextIO,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[StoredCalibration, Fit]:  # fmt: skip
    """Score every question in every form, and in all rotations in the best one, and fit. Raises ExamError.

    Progress goes to `stream`.
    """
    questions = sitting.questions
    with console.counting("scored", len(questions) * len(ANSWER_FORMS), stream) as advance:
        scored = {
            name: await asking.score(scorer, questions, form, rotate=False, advance=advance)
            for name, form in ANSWER_FORMS.items()
        }
    best, trials = fitting.best_form(scored)
    with console.counting("scored in all rotations", len(questions), stream) as advance:
        rotated = await asking.score(scorer, questions, ANSWER_FORMS[best], rotate=True, advance=advance)
    fit = fitting.fit(rotated, ANSWER_FORMS[best].digest)
    stored = StoredCalibration(
        **fit.calibration.model_dump(),
        model_uri=prepared.uri,
        model_digest=prepared.digest,
        precision=prepared.precision,
        fitted_on=FittedOn(exams=sitting.exam.digests, questions=len(fit.raw)),
        created=now(),
    )
    return stored, replace(fit, trials=[*trials, *fit.trials])
