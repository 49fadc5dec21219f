"""The result of an exam as a document: the questions asked, the figures, the verdict, every answer."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from mcq_eval.dataset.exam import Split
from mcq_eval.metrics import calibration_error, letter_bias, outcomes, risk_coverage
from mcq_eval.metrics.calibration_error import BINS, Bin, Binning
from mcq_eval.metrics.letter_bias import Letter
from mcq_eval.metrics.outcomes import Proportion
from mcq_eval.metrics.risk_coverage import CoveragePoint
from mcq_eval.report.comparison import Comparison
from mcq_eval.report.rows import Failure, Row
from mcq_service.api.mcq.answer_schemas import Usage
from mcq_service.api.mcq.question_schemas import Debias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_eval.metrics.outcomes import Outcome


class CalibrationError(BaseModel):
    """An expected calibration error. `by_chance` is the mean error of a perfect calibration on these questions.

    `at_most` is the upper end of the interval of the error on infinitely many such questions, one-sided, 95 %.
    """

    value: float
    by_chance: float
    at_most: float
    binning: Binning
    bins: int

    @classmethod
    def of(cls, answered: Sequence[Outcome], binning: Binning) -> Self:
        """Return the error of these outcomes."""
        return cls(
            value=calibration_error.ece(answered, binning=binning),
            by_chance=calibration_error.chance_ece(answered, binning=binning),
            at_most=calibration_error.max_ece(answered, binning=binning),
            binning=binning,
            bins=BINS,
        )


class Threshold(BaseModel):
    """The point of greatest coverage with an interval above the target accuracy; null if no point has one."""

    target_accuracy: float
    point: CoveragePoint | None


class Latency(BaseModel):
    """Milliseconds from a question's admission to its probabilities: quantiles over the questions.

    Up to `at_once` questions are in progress at the same time, and a question mostly waits for the others.
    """

    p50_ms: float
    p95_ms: float
    at_once: int

    @classmethod
    def of(cls, rows: Sequence[Row], *, at_once: int) -> Self:
        """Return the latency of at least one question."""
        p50, p95 = np.quantile([row.answer_ms for row in rows], (0.5, 0.95))
        return cls(p50_ms=p50, p95_ms=p95, at_once=at_once)


class Figures(BaseModel):
    """The figures of all questions together.

    `ece` and `reliability` have bins of equal width. `answered` leaves out the abstentions. `confusion` counts how
    often the second letter was chosen when the first was correct. `risk_coverage` and `thresholds` don't depend on the
    minimum confidence in the exam; they leave typed questions out, unless there are no others, because these have
    other probabilities. `level_error` is the mean distance of a score's expected level from the correct one; null
    without scores.
    """

    accuracy: Proportion
    answered: Proportion
    abstained: float
    mean_confidence: float
    ece: CalibrationError
    ece_equal_mass: CalibrationError
    brier: float
    negative_log_likelihood: float
    level_error: float | None = None
    letters: list[Letter]
    confusion: dict[str, dict[str, int]]
    recall_deviation: float
    reliability: list[Bin]
    subjects: dict[str, Proportion]
    risk_coverage: list[CoveragePoint]
    thresholds: list[Threshold]

    @classmethod
    def of(cls, answered: Sequence[Outcome]) -> Self:
        """Return the figures of at least one question."""
        letters = letter_bias.selection_bias(answered)
        choices = [each for each in answered if each.type == "choice"]
        curve = risk_coverage.risk_coverage(choices or answered)
        return cls(
            accuracy=outcomes.accuracy(answered),
            answered=outcomes.accuracy(each for each in answered if not each.abstained),
            abstained=sum(each.abstained for each in answered) / len(answered),
            mean_confidence=sum(each.confidence for each in answered) / len(answered),
            ece=CalibrationError.of(answered, "equal-width"),
            ece_equal_mass=CalibrationError.of(answered, "equal-mass"),
            brier=outcomes.brier(answered),
            negative_log_likelihood=outcomes.negative_log_likelihood(answered),
            level_error=outcomes.level_error(answered),
            letters=letters,
            confusion=letter_bias.confusion(answered),
            recall_deviation=letter_bias.recall_deviation(letters),
            reliability=calibration_error.reliability(answered),
            subjects=outcomes.accuracy_by_subject(answered),
            risk_coverage=curve,
            thresholds=[
                Threshold(target_accuracy=target, point=risk_coverage.threshold(curve, target))
                for target in risk_coverage.TARGETS
            ],
        )


VerdictOutcome = Literal["Passed", "Failed", "Inconclusive"]


class LimitVerdict(BaseModel):
    """The verdict on one limit. About `more_questions` would decide it; null if it is decided, or can't be decided."""

    outcome: VerdictOutcome
    detail: str
    more_questions: int | None = None


class Verdict(BaseModel):
    """Whether the result is good enough: Failed if it misses a limit, Passed if it keeps all."""

    outcome: VerdictOutcome
    limits: list[LimitVerdict]


class Report(BaseModel):
    """The whole result. `seconds` is the wall time of all questions together, `tokens` is their sum.

    `shards` Pods each asked a share. `unanswered` counts all failures; the list of them may be shortened.
    """

    model_config = ConfigDict(protected_namespaces=())

    format: Literal[1] = 1
    created: datetime
    target: str
    model: str
    model_digest: str | None
    precision: str | None
    prompt_digest: str | None
    debias: Debias | None
    split: Split
    exams: dict[str, str]
    duplicates: list[str]
    skipped: list[str]
    seconds: float
    latency: Latency
    tokens: Usage
    figures: Figures
    compared: Comparison | None
    verdict: Verdict | None
    shards: int
    unanswered: int
    failures: list[Failure]
    rows: list[Row]

    def shortened(self, max_length: int) -> Self:
        """Return the report with lists of at most `max_length` failures, duplicates and skipped questions."""
        lists = {name: _first(getattr(self, name), max_length) for name in ("duplicates", "skipped")}
        return self.model_copy(update={**lists, "failures": self.failures[:max_length]})


def _first(lines: list[str], count: int) -> list[str]:
    more = len(lines) - count
    return [*lines[:count], f"… and {more} more"] if more > 0 else lines
