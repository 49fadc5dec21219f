"""Judge whether a result is good enough: it keeps a limit, misses it, or has too few questions to decide.

A limit on accuracy is kept if even the low end of the interval (Wilson, one-sided 95 %) reaches it, and missed if even
the high end is below it. A limit on the regression is kept if even the high end of its interval (Tango, one-sided 95 %
at each end) is within it, and missed if even the low end is beyond it. McNemar's test is not used: it tests for any
difference, not for a regression beyond the limit. The calibration error and the time are compared without an interval.

An unanswered question counts as wrong here. With more than `MAX_UNANSWERED` of them the result fails: answers to half
of the questions say nothing about the other half.

Wilson's interval and the binomial test are scipy's. Neither scipy nor statsmodels has Tango's interval, so
`metrics.paired` computes it and is tested against published figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

from mcq_eval.metrics.outcomes import ONE_SIDED, wilson_interval
from mcq_eval.metrics.paired import regression
from mcq_eval.report.exam_report import LimitVerdict, Verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from mcq_eval.report.comparison import Comparison
    from mcq_eval.report.exam_report import Figures, Latency

MAX_UNANSWERED = 0.05
"""The largest share of unanswered questions in a result that passes."""
_MAX_QUESTIONS = 1_000_000


@dataclass(frozen=True)
class Limits:
    """The limits of a result; None: no limit. Ratios are from 0 to 1. The regression is against an earlier result."""

    min_accuracy: float | None = None
    max_regression: float | None = None
    max_calibration_error: float | None = None
    max_p95_seconds: float | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Self:
        """Return the limits of a command's arguments, which have the names of the fields."""
        return cls(**{field.name: getattr(arguments, field.name) for field in fields(cls)})


def judge(
    figures: Figures, compared: Comparison | None, latency: Latency, limits: Limits, *, unanswered: int = 0
) -> Verdict | None:
    """Return the verdict, or None without limits. Raises ValueError for a limit on the regression without `compared`.

    `figures` are of the answered questions; `unanswered` more were asked.
    """
    verdicts = []
    if limits.min_accuracy is not None:
        verdicts.append(_accuracy(figures, unanswered, limits.min_accuracy))
    if limits.max_regression is not None:
        if compared is None:
            raise ValueError("a limit on the regression needs an earlier result")
        verdicts.append(_regression(compared, limits.max_regression))
    if limits.max_calibration_error is not None:
        verdicts.append(_calibration(figures, limits.max_calibration_error))
    if limits.max_p95_seconds is not None:
        verdicts.append(_latency(latency, limits.max_p95_seconds))
    if not verdicts:
        return None
    if unanswered:
        verdicts.append(_unanswered(unanswered, unanswered + figures.accuracy.total))
    outcomes = {each.outcome for each in verdicts}
    worst = next(each for each in ("Failed", "Inconclusive", "Passed") if each in outcomes)
    return Verdict(outcome=worst, limits=verdicts)


def _accuracy(figures: Figures, unanswered: int, least: float) -> LimitVerdict:
    right, total = figures.accuracy.right, figures.accuracy.total + unanswered
    accuracy = right / total
    low, high = wilson_interval(right, total, confidence=ONE_SIDED)
    figure = (
        f"accuracy {accuracy:.3f} ({right} of {total}{_unanswered_note(unanswered)}; {low:.3f} to {high:.3f})"
    )
    if low >= least:
        return LimitVerdict(outcome="Passed", detail=f"{figure} is at least {least:g}")
    if high < least:
        return LimitVerdict(outcome="Failed", detail=f"{figure} is below {least:g}")

    def is_decisive(questions: int) -> bool:
        low, high = wilson_interval(round(accuracy * questions), questions, confidence=ONE_SIDED)
        return not low < least <= high

    return _inconclusive(f"{figure} may or may not be below {least:g}", total, is_decisive)


def _regression(compared: Comparison, most: float) -> LimitVerdict:
    total, before, now = compared.questions, compared.only_before, compared.only_now
    low, high = regression(before, now, total)
    figure = (
        f"on {total} questions{_unanswered_note(compared.unanswered)}, {before} right only before and {now} only"
        f" now, a regression of {(before - now) / total:.3f} ({low:.3f} to {high:.3f})"
    )
    if high <= most:
        return LimitVerdict(outcome="Passed", detail=f"{figure} is at most {most:g}")
    if low > most:
        return LimitVerdict(outcome="Failed", detail=f"{figure} is more than {most:g}")

    def is_decisive(questions: int) -> bool:
        scale = questions / total
        low, high = regression(before * scale, now * scale, questions)
        return not low <= most < high

    return _inconclusive(f"{figure} may or may not be more than {most:g}", total, is_decisive)


def _unanswered(unanswered: int, asked: int) -> LimitVerdict:
    figure = (
        f"{unanswered} of {asked} questions ({unanswered / asked:.1%}) were not answered, and count as wrong"
    )
    if unanswered / asked <= MAX_UNANSWERED:
        return LimitVerdict(outcome="Passed", detail=f"{figure}; up to {MAX_UNANSWERED:.0%} may be")
    return LimitVerdict(
        outcome="Failed",
        detail=f"{figure}; at most {MAX_UNANSWERED:.0%} may be; fix what the report names, and repeat the exam",
    )


def _unanswered_note(unanswered: int) -> str:
    return f", {unanswered} of them unanswered" if unanswered else ""


def _calibration(figures: Figures, most: float) -> LimitVerdict:
    figure = f"calibration error {figures.ece.value:.3f} ({figures.ece.by_chance:.3f} by chance alone)"
    if figures.ece.value <= most:
        return LimitVerdict(outcome="Passed", detail=f"{figure} is at most {most:g}")
    return LimitVerdict(outcome="Failed", detail=f"{figure} is more than {most:g}")


def _latency(latency: Latency, most: float) -> LimitVerdict:
    figure = f"95 % of the answers came within {latency.p95_ms / 1000:.2f} s"
    if latency.p95_ms <= most * 1000:
        return LimitVerdict(outcome="Passed", detail=f"{figure}, which is at most {most:g} s")
    return LimitVerdict(outcome="Failed", detail=f"{figure}, which is more than {most:g} s")


def _inconclusive(figure: str, asked: int, is_decisive: Callable[[int], bool]) -> LimitVerdict:
    """Return an inconclusive verdict: how many more questions, answered as well as those so far, would decide."""
    needed = _min_questions(asked, is_decisive)
    if needed is None:
        more, outlook = None, "more questions are not likely to decide it"
    else:
        more = needed - asked
        outlook = f"about {more} more questions would decide it"
    return LimitVerdict(outcome="Inconclusive", detail=f"{figure}: {outlook}", more_questions=more)


def _min_questions(asked: int, is_decisive: Callable[[int], bool]) -> int | None:
    """Return the number of questions that decides, to a hundredth; None for more than a million."""
    high = asked + 1
    while not is_decisive(high):
        if high >= _MAX_QUESTIONS:
            return None
        high = min(2 * high, _MAX_QUESTIONS)
    low = max(asked, high // 2)
    while high - low > max(1, math.ceil(high / 100)):
        middle = (low + high) // 2
        low, high = (low, middle) if is_decisive(middle) else (middle, high)
    return high
