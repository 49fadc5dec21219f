"""For a person: progress on standard error, figures as tables."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from mcq_service.exams import calibration_error, statistics
from mcq_service.exams.report import Figures
from mcq_service.runtime.terminal import PlainConsole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mcq_service.exams.fitting import Fit
    from mcq_service.exams.report import Comparison, Proportion, Report

_LINE_SECONDS = 10.0
_DISCORDANT_SHOWN = 40


@contextmanager
def counting(title: str, total: int, stream: TextIO) -> Iterator[Callable[[int], None]]:
    """A count of questions that is told how many more are done: a bar on a terminal, a line now and then elsewhere."""
    if not stream.isatty():
        yield _lines(title, total, stream)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(file=stream), transient=True) as bars:
        task = bars.add_task(title, total=total)
        yield lambda more: bars.advance(task, more)


def _lines(
    title: str, total: int, stream: TextIO, clock: Callable[[], float] = time.monotonic
) -> Callable[[int], None]:
    start = said = clock()
    done = 0

    def advance(more: int) -> None:
        nonlocal done, said
        done += more
        if done == total or clock() - said >= _LINE_SECONDS:
            said = clock()
            stream.write(f"[{said - start:6.1f} s] {title}: {done} of {total}\n")
            stream.flush()

    return advance


def show(report: Report, stream: TextIO) -> None:
    """The whole result, without its questions."""
    console = _console(stream)
    console.print(_figures(report))
    console.print(_letters(report.figures))
    if len(report.figures.subjects) > 1:
        console.print(_subjects(report.figures))
    if report.compared is not None:
        _show_comparison(console, report.compared)
    if report.verdict is not None:
        console.print(f"{report.verdict.outcome}:")
        for limit in report.verdict.limits:
            console.print(f"- {limit.outcome}: {limit.detail}")
    for line in [*report.skipped, *report.duplicates]:
        console.print(f"left out: {line}")
    for failure in report.failures:
        console.print(f"not answered: in no figure, wrong for the verdict: {failure.id}: {failure.detail}")


def show_fit(fit: Fit, stream: TextIO) -> None:
    """What a calibration is, what was tried, and what it does to questions that it was not fitted on."""
    console = _console(stream)
    console.print(_tried(fit))
    for count, measured in fit.calibration.choices.items():
        letters = ", ".join(f"{label} {probability:.3f}" for label, probability in measured.prior.items())
        console.print(f"prior of the letters of {count} choices: {letters}")
        second = measured.second_order
        console.print(
            f"temperature {measured.temperature}"
            + (f"; of both orders {second.temperature}, below a margin of {second.margin}" if second else "")
            + f"; of the mean of rotations {measured.rotations_temperature}"
        )
    for count, questions in fit.unmeasured.items():
        console.print(f"not calibrated: {questions} questions with {count} choices are too few")
    table = Table(
        title=f"{len(fit.raw)} questions; calibrated ones by cross-validation", title_justify="left"
    )
    columns = {"as the model scores": fit.raw, "calibrated": fit.calibrated, "in all rotations": fit.rotated}
    figures = [Figures.of(outcomes) for outcomes in columns.values()]
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    for name, value in _ROWS.items():
        table.add_row(name, *(f"{value(each):.3f}" for each in figures))
    console.print(table)


def _tried(fit: Fit) -> Table:
    """Each form and plan on questions that it was not fitted on; the star is on what was taken."""
    table = Table(title="Tried, by cross-validation; * is taken", title_justify="left")
    for column in ("choices", "", "prompts", "accuracy", "ECE", "log-likelihood"):
        table.add_column(column, justify="left" if column == "" else "right")
    for each in fit.trials:
        table.add_row(
            "all" if each.choices is None else str(each.choices),
            f"{'*' if each.taken else ' '} {each.name}",
            f"{each.prompts:.2f}",
            f"{statistics.accuracy(each.outcomes).value:.3f}",
            f"{calibration_error.ece(each.outcomes):.3f}",
            f"{-statistics.negative_log_likelihood(each.outcomes):.3f}",
        )
    return table


_ROWS: dict[str, Callable[[Figures], float]] = {
    "accuracy": lambda figures: figures.accuracy.value or 0.0,
    "mean confidence": lambda figures: figures.mean_confidence,
    "calibration error (ECE)": lambda figures: figures.ece.value,
    "  by chance alone": lambda figures: figures.ece.by_chance,
    "Brier score": lambda figures: figures.brier,
    "negative log-likelihood, nats": lambda figures: figures.negative_log_likelihood,
    "spread of recalls (RStd)": lambda figures: figures.recall_deviation,
}


def _console(stream: TextIO) -> Console:
    return PlainConsole(file=stream, width=None if stream.isatty() else 110)


def _figures(report: Report) -> Table:
    figures, count = report.figures, len(report.rows)
    table = Table(title=f"{report.model}: {', '.join(report.exams)}", show_header=False, title_justify="left")
    table.add_column()
    table.add_column()
    rows = {
        "questions": f"{count} ({report.split}), debias: {report.debias or 'as the service has it'}",
        "accuracy": _proportion(figures.accuracy),
        "abstained": f"{figures.abstained:.1%}; accuracy of the answered {_proportion(figures.answered)}",
        **_scores(figures),
        "spread of recalls": f"{figures.recall_deviation:.3f} (RStd over letters; 0 is no selection bias)",
        "time": f"{report.seconds / count:.3f} s a question ({report.seconds:.1f} s, {report.target})",
        "time to an answer": f"{report.latency.p50_ms:.0f} ms at the median, {report.latency.p95_ms:.0f} ms at the"
        f" 95th percentile, {report.latency.at_once} asked at once",
        "tokens": f"{report.tokens.prompt_tokens} read, {report.tokens.cached_tokens} of them computed before",
    }
    if not figures.abstained:
        del rows["abstained"]
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _proportion(share: Proportion) -> str:
    """A share with its 95 % interval."""
    if share.value is None:
        return "of no question"
    low, high = share.ci95
    return f"{share.value:.3f} ({share.right} of {share.total}; 95 %: {low:.3f} to {high:.3f})"


def _scores(figures: Figures) -> dict[str, str]:
    """How far the probabilities can be believed, in words."""
    ece, mass = figures.ece, figures.ece_equal_mass
    return {
        "mean confidence": f"{figures.mean_confidence:.3f}",
        "calibration error": f"{ece.value:.3f} (ECE, {ece.bins} bins of equal width; by chance alone "
        f"{ece.by_chance:.3f}; 95 %: at most {ece.at_most:.3f}); {mass.value:.3f} in bins of equal mass (by chance "
        f"{mass.by_chance:.3f})",
        "Brier score": f"{figures.brier:.3f}",
        "log-likelihood": f"{-figures.negative_log_likelihood:.3f} nats a question",
    }


def _letters(figures: Figures) -> Table:
    """The selection-bias table."""
    table = Table(title="Letters", title_justify="left")
    for column in ("letter", "right", "chosen", "recall"):
        table.add_column(column, justify="right")
    for row in figures.letters:
        recall = "" if row.recall is None else f"{row.recall:.3f}"
        table.add_row(row.label, str(row.right), str(row.chosen), recall)
    return table


def _subjects(figures: Figures) -> Table:
    """Two subjects a row: there may be many."""
    table = Table(title="Subjects", title_justify="left")
    for _ in range(2):
        table.add_column("subject")
        table.add_column("right", justify="right")
        table.add_column("95 %", justify="right")
    cells = [
        (name, f"{each.right}/{each.total}", f"{each.ci95[0]:.2f}-{each.ci95[1]:.2f}")
        for name, each in figures.subjects.items()
    ]
    half = (len(cells) + 1) // 2
    for left, right in zip(cells[:half], [*cells[half:], ("", "", "")], strict=False):
        table.add_row(*left, *right)
    return table


def _show_comparison(console: Console, compared: Comparison) -> None:
    console.print(
        f"Compared on {compared.questions} questions, {compared.unanswered} of them without an answer now: only the "
        f"earlier result has {compared.only_before} right, only this one {compared.only_now}; McNemar's exact p = "
        f"{compared.p_value:.3g}."
    )
    table = Table(title="Discordant questions", title_justify="left")
    for column in ("question", "right", "before", "now"):
        table.add_column(column)
    for each in compared.discordant[:_DISCORDANT_SHOWN]:
        table.add_row(each.id, each.answer, each.before, each.now or "no answer")
    if compared.discordant:
        console.print(table)
    if (more := len(compared.discordant) - _DISCORDANT_SHOWN) > 0:
        console.print(f"… and {more} more: see the JSON.")
