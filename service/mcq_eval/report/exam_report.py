"""The result of an exam as a document: the questions asked, the figures, the verdict, every answer."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict

from mcq_eval.dataset.exam import Split
from mcq_eval.metrics import calibration_error, letter_bias, outcomes, risk_coverage
from mcq_eval.metrics.calibration_error import BINS, Binning
from mcq_eval.report.comparison import Comparison
from mcq_eval.report.rows import Failure, Row
from mcq_service.api.mcq.answer_schemas import Usage
from mcq_service.api.mcq.question_schemas import Debias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_eval.metrics.outcomes import Outcome, Share


class Proportion(BaseModel):
    """A share: `right` of `total`. `ci95` is the Wilson score interval. `value` is null for a total of 0."""

    right: int
    total: int
    value: float | None
    ci95: tuple[float, float]

    @classmethod
    def of(cls, share: Share) -> Self:
        """Return the share in the document's form."""
        value = None if math.isnan(share.value) else share.value
        return cls(right=share.right, total=share.total, value=value, ci95=(share.low, share.high))


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


class Letter(BaseModel):
    """How often a letter was correct and how often chosen. `recall` is null if it was never correct."""

    label: str
    right: int
    chosen: int
    recall: float | None


class Reliability(BaseModel):
    """The questions with a confidence above `low` and at most `high`; `confidence` is the mean."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: Proportion

    @classmethod
    def of(cls, each: calibration_error.Bin) -> Self:
        """Return the bin in the document's form."""
        accuracy = Proportion.of(outcomes.share(each.right, each.total))
        return cls(
            low=each.low, high=each.high, count=each.total, confidence=each.confidence, accuracy=accuracy
        )


class CoveragePoint(BaseModel):
    """The questions with a confidence of at least `min_confidence`: `coverage` is their share of all.

    `accuracy` is of `right` in `total`. Each end of `interval` holds for all points of the curve at once, with 95 %.
    """

    min_confidence: float
    coverage: float
    right: int
    total: int
    accuracy: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, each: risk_coverage.Point) -> Self:
        """Return the point in the document's form."""
        return cls(
            min_confidence=each.min_confidence,
            coverage=each.coverage,
            right=each.right,
            total=each.total,
            accuracy=each.right / each.total,
            interval=(each.low, each.high),
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
        values = [row.answer_ms for row in rows]
        p50, p95 = (outcomes.quantile(values, share_below) for share_below in (0.5, 0.95))
        return cls(p50_ms=p50, p95_ms=p95, at_once=at_once)


class Figures(BaseModel):
    """The figures of all questions together.

    `ece` and `reliability` have bins of equal width. `answered` leaves out the abstentions. `confusion` counts how
    often the second letter was chosen when the first was correct. `risk_coverage` and `thresholds` don't depend on the
    minimum confidence in the exam. `level_error` is the mean distance of a score's expected level from the correct
    one; null without scores.
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
    reliability: list[Reliability]
    subjects: dict[str, Proportion]
    risk_coverage: list[CoveragePoint]
    thresholds: list[Threshold]

    @classmethod
    def of(cls, answered: Sequence[Outcome]) -> Self:
        """Return the figures of at least one question."""
        rows = letter_bias.letter_rows(answered)
        curve = risk_coverage.risk_coverage(answered)
        return cls(
            accuracy=Proportion.of(outcomes.accuracy(answered)),
            answered=Proportion.of(outcomes.accuracy(each for each in answered if not each.abstained)),
            abstained=sum(each.abstained for each in answered) / len(answered),
            mean_confidence=sum(each.confidence for each in answered) / len(answered),
            ece=CalibrationError.of(answered, "equal-width"),
            ece_equal_mass=CalibrationError.of(answered, "equal-mass"),
            brier=outcomes.brier(answered),
            negative_log_likelihood=outcomes.negative_log_likelihood(answered),
            level_error=outcomes.level_error(answered),
            letters=[
                Letter(label=r.label, right=r.right, chosen=r.chosen, recall=r.recall if r.right else None)
                for r in rows
            ],
            confusion=letter_bias.confusion(answered),
            recall_deviation=letter_bias.recall_deviation(rows),
            reliability=[Reliability.of(each) for each in calibration_error.reliability(answered)],
            subjects={
                name: Proportion.of(each) for name, each in outcomes.accuracy_by_subject(answered).items()
            },
            risk_coverage=[CoveragePoint.of(each) for each in curve],
            thresholds=[_threshold(curve, target) for target in risk_coverage.TARGETS],
        )


def _threshold(curve: Sequence[risk_coverage.Point], target: float) -> Threshold:
    point = risk_coverage.threshold(curve, target)
    return Threshold(target_accuracy=target, point=CoveragePoint.of(point) if point else None)


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
