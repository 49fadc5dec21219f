"""The result of an exam as a document: what was asked of whom, the figures, and every question."""

from __future__ import annotations

import gzip
import math
import zlib
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from mcq_service.api.mcq.schemas import Debias, Usage
from mcq_service.exams import calibration_error, statistics
from mcq_service.exams.calibration_error import BINS, Binning
from mcq_service.exams.errors import ResultUnreadable
from mcq_service.exams.evidence import checked
from mcq_service.exams.questions import Split
from mcq_service.exams.statistics import Outcome, Share

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class Row(BaseModel):
    """A question as it was answered; `answer` is the right letter, `chosen` the most probable one."""

    id: str
    digest: str
    subject: str | None
    labels: list[str]
    answer: str
    chosen: str
    probabilities: list[float]
    abstained: bool
    answer_ms: float

    @property
    def outcome(self) -> Outcome:
        """The row as the statistics take it."""
        return Outcome(
            self.labels, self.probabilities, self.labels.index(self.answer), self.subject, self.abstained
        )


class Failure(BaseModel):
    """A question that was not answered, and why. It is in no figure, and counts as wrong for the verdict."""

    id: str
    digest: str
    detail: str


class Proportion(BaseModel):
    """So many of so many; `ci95` is the Wilson score interval. `value` is null where there is none."""

    right: int
    total: int
    value: float | None
    ci95: tuple[float, float]

    @classmethod
    def of(cls, share: Share) -> Self:
        """As a document has it."""
        value = None if math.isnan(share.value) else share.value
        return cls(right=share.right, total=share.total, value=value, ci95=(share.low, share.high))


class CalibrationError(BaseModel):
    """An expected calibration error; `by_chance` is what a perfect calibration of these questions has on average.

    `at_most` is the upper end of the interval of that of endless such questions, one-sided, 95 %.
    """

    value: float
    by_chance: float
    at_most: float
    binning: Binning
    bins: int

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], binning: Binning) -> Self:
        """Of these outcomes."""
        return cls(
            value=calibration_error.ece(outcomes, binning=binning),
            by_chance=calibration_error.chance_ece(outcomes, binning=binning),
            at_most=calibration_error.most_ece(outcomes, binning=binning),
            binning=binning,
            bins=BINS,
        )


class Letter(BaseModel):
    """How often a letter was right and how often chosen; `recall` is null where it was never right."""

    label: str
    right: int
    chosen: int
    recall: float | None


class Reliability(BaseModel):
    """The questions whose confidence is above `low` and at most `high`; `confidence` is their mean."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: Proportion

    @classmethod
    def of(cls, each: calibration_error.Bin) -> Self:
        """As a document has it."""
        accuracy = Proportion.of(statistics.share(each.right, each.total))
        return cls(
            low=each.low, high=each.high, count=each.total, confidence=each.confidence, accuracy=accuracy
        )


class Latency(BaseModel):
    """Milliseconds from a question's admission to its probabilities: quantiles over the questions.

    Up to `at_once` questions were asked at the same time, and most of the time is the wait for the others.
    """

    p50_ms: float
    p95_ms: float
    at_once: int

    @classmethod
    def of(cls, rows: Sequence[Row], *, at_once: int) -> Self:
        """Of at least one question."""
        values = [row.answer_ms for row in rows]
        p50, p95 = (statistics.quantile(values, share_below) for share_below in (0.5, 0.95))
        return cls(p50_ms=p50, p95_ms=p95, at_once=at_once)


class Figures(BaseModel):
    """What the questions say together.

    `ece` and `reliability` are of equal-width bins. `answered` are those it did not abstain from. `confusion` has how
    often, where the first letter was right, the second was chosen.
    """

    accuracy: Proportion
    answered: Proportion
    abstained: float
    mean_confidence: float
    ece: CalibrationError
    ece_equal_mass: CalibrationError
    brier: float
    negative_log_likelihood: float
    letters: list[Letter]
    confusion: dict[str, dict[str, int]]
    recall_deviation: float
    reliability: list[Reliability]
    subjects: dict[str, Proportion]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Self:
        """Of at least one question."""
        rows = statistics.letters(outcomes)
        return cls(
            accuracy=Proportion.of(statistics.accuracy(outcomes)),
            answered=Proportion.of(statistics.accuracy(each for each in outcomes if not each.abstained)),
            abstained=sum(each.abstained for each in outcomes) / len(outcomes),
            mean_confidence=sum(each.confidence for each in outcomes) / len(outcomes),
            ece=CalibrationError.of(outcomes, "equal-width"),
            ece_equal_mass=CalibrationError.of(outcomes, "equal-mass"),
            brier=statistics.brier(outcomes),
            negative_log_likelihood=statistics.negative_log_likelihood(outcomes),
            letters=[
                Letter(label=r.label, right=r.right, chosen=r.chosen, recall=r.recall if r.right else None)
                for r in rows
            ],
            confusion=statistics.confusion(outcomes),
            recall_deviation=statistics.recall_deviation(rows),
            reliability=[Reliability.of(each) for each in calibration_error.reliability(outcomes)],
            subjects={name: Proportion.of(each) for name, each in statistics.by_subject(outcomes).items()},
        )


class Discordant(BaseModel):
    """A question that one of two results has right; letters: the right one, and those chosen; null: no answer."""

    id: str
    answer: str
    before: str
    now: str | None


class Comparison(BaseModel):
    """This result beside an earlier one, on the questions both were asked and the earlier one answered.

    `unanswered` of them have no answer now, which is a wrong one; `p_value` is of McNemar's exact test, two-sided.
    """

    questions: int
    unanswered: int
    both_right: int
    only_before: int
    only_now: int
    both_wrong: int
    p_value: float
    discordant: list[Discordant]


Judgement = Literal["Passed", "Failed", "Inconclusive"]


class Judged(BaseModel):
    """What became of one limit. `more_questions` would about decide it; null where it is, or where no number would."""

    outcome: Judgement
    detail: str
    more_questions: int | None = None


class Verdict(BaseModel):
    """Whether the result is good enough: Failed if one limit is missed, Passed if all are held."""

    outcome: Judgement
    limits: list[Judged]


class Report(BaseModel):
    """The whole result. `seconds` is the wall time of all questions together, `tokens` their sum.

    `shards` asked it, each its share; `unanswered` is the number of failures, of which the list may be shortened.
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

    def shortened(self, longest: int) -> Self:
        """The report with at most so many failures, and so many lines of what was left out."""
        lists = {name: _first(getattr(self, name), longest) for name in ("duplicates", "skipped")}
        return self.model_copy(update={**lists, "failures": self.failures[:longest]})


def _first(lines: list[str], longest: int) -> list[str]:
    more = len(lines) - longest
    return [*lines[:longest], f"… and {more} more"] if more > 0 else lines


class _Earlier(BaseModel):
    """What is read of an earlier result, or of one share of it: releases before had fewer figures."""

    format: Literal[1] = 1
    rows: list[Row]


def read_rows(path: Path) -> list[Row]:
    """The questions of an earlier result. Raises ResultUnreadable."""
    return _rows(path, path.read_bytes)


class _Parts(BaseModel):
    """What names the parts of a result."""

    parts: list[str]


def unpacked_rows(folder: Path, digest: str) -> list[Row]:
    """The questions of all shards, as a Job keeps them: a compressed file each.

    `digest` is that of result.json, which has those of the shards' files. Raises ResultUnreadable where one of them is
    other: someone has changed it.
    """
    path = folder / "result.json"
    try:
        parts = _Parts.model_validate_json(checked(path, digest)).parts
    except (OSError, ValidationError) as error:
        raise ResultUnreadable(f"{path} can't be read: {error}") from error  # noqa: EM102
    files = [(folder / f"{shard}.json.gz", part) for shard, part in enumerate(parts)]
    return [row for path, part in files for row in _rows(path, partial(_unpacked, path, part))]


def _unpacked(path: Path, digest: str) -> bytes:
    return gzip.decompress(checked(path, digest))


def _rows(path: Path, read: Callable[[], bytes]) -> list[Row]:
    try:
        return _Earlier.model_validate_json(read()).rows
    except (OSError, EOFError, zlib.error) as error:
        raise ResultUnreadable(f"{path} can't be read: {error}.") from error  # noqa: EM102
    except ValidationError as error:
        raise ResultUnreadable(f"{path} is not a result that `evaluate --json` wrote: {error}") from error  # noqa: EM102


def compare(before: Sequence[Row], now: Sequence[Row], unanswered: Sequence[Failure] = ()) -> Comparison:
    """Two results, question by question; `unanswered` questions are wrong now.

    What the earlier result has no answer to is left out: it would make a worse one look better. Raises
    ResultUnreadable where they have no question in common.
    """
    rows = {row.digest: row for row in now}
    missing = {each.digest for each in unanswered} - rows.keys()
    both = [(old, rows.get(old.digest)) for old in before if old.digest in rows or old.digest in missing]
    if not both:
        raise ResultUnreadable("The two results have no question in common.")
    right = {old.digest: new is not None and new.outcome.right for old, new in both}
    table = statistics.paired({old.digest: old.outcome.right for old, _ in both}, right)
    return Comparison(
        questions=len(right),
        unanswered=len(missing & right.keys()),
        both_right=table.both_right,
        only_before=table.only_first,
        only_now=table.only_second,
        both_wrong=table.both_wrong,
        p_value=table.p_value,
        discordant=[
            Discordant(
                id=(new or old).id,
                answer=(new or old).answer,
                before=old.chosen,
                now=new.chosen if new else None,
            )
            for old, new in both
            if old.outcome.right != right[old.digest]
        ],
    )
