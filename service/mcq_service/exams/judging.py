"""Whether a result is good enough: each limit is held, is missed, or can't be told of with so few questions.

A limit of accuracy is held where even the low end of the interval (Wilson, one-sided 95 %) is not below it, and missed
where even the high end is. One of regression is held where the worst that is likely (Tango, one-sided 95 %) is within
it, and missed where the regression seen is beyond it and McNemar's exact test says that it isn't by chance: p < 0.05.
An expected calibration error, and a time, are compared as they are.
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

SIGNIFICANT = 0.05
_MOST_QUESTIONS = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What is asked of a result; None: nothing. Ratios are from 0 to 1; a regression is of an earlier result."""

    min_accuracy: float | None = None
    max_regression: float | None = None
    max_calibration_error: float | None = None
    max_p95_seconds: float | None = None


def judge(figures: Figures, compared: Comparison | None, latency: Latency, limits: Limits) -> Verdict | None:
    """The verdict, or None where nothing is asked. A regression needs something to compare with: ValueError."""
    found = []
    if limits.min_accuracy is not None:
        found.append(_accuracy(figures, limits.min_accuracy))
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
    outcomes = {each.outcome for each in found}
    worst = next(each for each in ("Failed", "Inconclusive", "Passed") if each in outcomes)
    return Verdict(outcome=worst, limits=found)


def _accuracy(figures: Figures, least: float) -> Judged:
    right, total = figures.accuracy.right, figures.accuracy.total
    found = statistics.share(right, total, z=Z95_ONE_SIDED)
    said = f"accuracy {found.value:.3f} ({right} of {total}; {found.low:.3f} to {found.high:.3f})"
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
    seen, worst = (before - now) / total, -statistics.least_difference(before, now, total)
    said = (
        f"on {total} questions, {before} right only before and {now} only now (McNemar's exact p ="
        f" {compared.p_value:.3g}), a regression of {seen:.3f}, {worst:.3f} at worst,"
    )
    if worst <= most:
        return Judged(outcome="Passed", detail=f"{said} is at most {most:g}")
    if seen > most and compared.p_value < SIGNIFICANT:
        return Judged(outcome="Failed", detail=f"{said} is more than {most:g}")

    def decided(questions: int) -> bool:
        scale = questions / total
        if seen > most:
            # McNemar's test as it is of many pairs: the exact one would take its time.
            return (before - now) ** 2 * scale > statistics.Z95**2 * (before + now)
        return -statistics.least_difference(before * scale, now * scale, questions) <= most

    return _open(f"{said} may be more than {most:g} or not", total, decided)


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
