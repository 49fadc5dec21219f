"""Whether a result is good enough: each limit is held, is missed, or can't be told of with so few questions.

A limit of accuracy is held where even the low end of the interval (Wilson, one-sided 95 %) is not below it, and missed
where even the high end is. A limit of regression is held where even the high end of its interval (Tango, one-sided
95 % at each end) is within it, and missed where even the low end is beyond it. McNemar's test has no part in this: it
asks whether there is any difference, not whether the regression exceeds the limit. An expected calibration error, and
a time, are compared as they are.

A question that was not answered counts as wrong here, and with more than `MOST_UNANSWERED` of them the result fails:
answers to half of the questions say nothing about the other half.

The statistics are our own few lines, tested against published figures: scipy (100 MB in the image) has Wilson's
interval and the binomial test, but neither scipy nor statsmodels has Tango's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcq_service.exams import statistics
from mcq_service.exams.report import Judged, Verdict
from mcq_service.exams.statistics import Z95_ONE_SIDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_service.exams.report import Comparison, Figures, Latency

MOST_UNANSWERED = 0.05
"""The largest share of questions without an answer that a result may have."""
_MOST_QUESTIONS = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What is asked of a result; None: nothing. Ratios are from 0 to 1; a regression is of an earlier result."""

    min_accuracy: float | None = None
    max_regression: float | None = None
    max_calibration_error: float | None = None
    max_p95_seconds: float | None = None


def judge(
    figures: Figures, compared: Comparison | None, latency: Latency, limits: Limits, *, unanswered: int = 0
) -> Verdict | None:
    """The verdict, or None where nothing is asked. A regression needs something to compare with: ValueError.

    `figures` are of the answered questions; `unanswered` more were asked.
    """
    found = []
    if limits.min_accuracy is not None:
        found.append(_accuracy(figures, unanswered, limits.min_accuracy))
    if limits.max_regression is not None:
        if compared is None:
            raise ValueError("a regression is of an earlier result, and there is none")
        found.append(_regression(compared, limits.max_regression))
    if limits.max_calibration_error is not None:
        found.append(_calibration(figures, limits.max_calibration_error))
    if limits.max_p95_seconds is not None:
        found.append(_latency(latency, limits.max_p95_seconds))
    if not found:
        return None
    if unanswered:
        found.append(_unanswered(unanswered, unanswered + figures.accuracy.total))
    outcomes = {each.outcome for each in found}
    worst = next(each for each in ("Failed", "Inconclusive", "Passed") if each in outcomes)
    return Verdict(outcome=worst, limits=found)


def _accuracy(figures: Figures, unanswered: int, least: float) -> Judged:
    right, total = figures.accuracy.right, figures.accuracy.total + unanswered
    found = statistics.share(right, total, z=Z95_ONE_SIDED)
    said = (
        f"accuracy {found.value:.3f} ({right} of {total}{_and_wrong(unanswered)};"
        f" {found.low:.3f} to {found.high:.3f})"
    )
    if found.low >= least:
        return Judged(outcome="Passed", detail=f"{said} is at least {least:g}")
    if found.high < least:
        return Judged(outcome="Failed", detail=f"{said} is below {least:g}")

    def decided(questions: int) -> bool:
        expected = statistics.share(round(found.value * questions), questions, z=Z95_ONE_SIDED)
        return not expected.low < least <= expected.high

    return _open(f"{said} may be below {least:g} or not", total, decided)


def _regression(compared: Comparison, most: float) -> Judged:
    total, before, now = compared.questions, compared.only_before, compared.only_now
    low, high = statistics.regression(before, now, total)
    said = (
        f"on {total} questions{_and_wrong(compared.unanswered)}, {before} right only before and {now} only now, a"
        f" regression of {(before - now) / total:.3f} ({low:.3f} to {high:.3f})"
    )
    if high <= most:
        return Judged(outcome="Passed", detail=f"{said} is at most {most:g}")
    if low > most:
        return Judged(outcome="Failed", detail=f"{said} is more than {most:g}")

    def decided(questions: int) -> bool:
        scale = questions / total
        low, high = statistics.regression(before * scale, now * scale, questions)
        return not low <= most < high

    return _open(f"{said} may be more than {most:g} or not", total, decided)


def _unanswered(unanswered: int, asked: int) -> Judged:
    said = (
        f"{unanswered} of {asked} questions ({unanswered / asked:.1%}) were not answered, and count as wrong"
    )
    if unanswered / asked <= MOST_UNANSWERED:
        return Judged(outcome="Passed", detail=f"{said}; up to {MOST_UNANSWERED:.0%} may be")
    return Judged(
        outcome="Failed",
        detail=f"{said}; at most {MOST_UNANSWERED:.0%} may be: the report says why, mend that and repeat the exam",
    )


def _and_wrong(unanswered: int) -> str:
    return f", {unanswered} of them unanswered" if unanswered else ""


def _calibration(figures: Figures, most: float) -> Judged:
    said = f"calibration error {figures.ece.value:.3f} ({figures.ece.by_chance:.3f} by chance alone)"
    if figures.ece.value <= most:
        return Judged(outcome="Passed", detail=f"{said} is at most {most:g}")
    return Judged(outcome="Failed", detail=f"{said} is more than {most:g}")


def _latency(latency: Latency, most: float) -> Judged:
    said = f"95 % of the answers came within {latency.p95_ms / 1000:.2f} s"
    if latency.p95_ms <= most * 1000:
        return Judged(outcome="Passed", detail=f"{said}, which is at most {most:g} s")
    return Judged(outcome="Failed", detail=f"{said}, which is more than {most:g} s")


def _open(said: str, asked: int, decided: Callable[[int], bool]) -> Judged:
    """Inconclusive; says how many more questions would decide if their answers were as right as those so far."""
    enough = _fewest(asked, decided)
    if enough is None:
        return Judged(
            outcome="Inconclusive",
            detail=f"{said}: more questions are not likely to tell",
            more_questions=None,
        )
    more = enough - asked
    return Judged(
        outcome="Inconclusive", detail=f"{said}: about {more} more questions would tell", more_questions=more
    )


def _fewest(asked: int, decided: Callable[[int], bool]) -> int | None:
    """How many questions decide, to a hundredth; None for more than a million."""
    high = asked + 1
    while not decided(high):
        if high >= _MOST_QUESTIONS:
            return None
        high = min(2 * high, _MOST_QUESTIONS)
    low = max(asked, high // 2)
    while high - low > max(1, math.ceil(high / 100)):
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high
