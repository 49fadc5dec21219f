"""Print a report as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.table import Table

from mcq_service.runtime.terminal import PlainConsole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from mcq_eval.metrics.outcomes import Proportion
    from mcq_eval.report.comparison import Comparison
    from mcq_eval.report.exam_report import Figures, Report

_SHOWN = 40  # lines of a list or table; the JSON has all


def print_report(report: Report, stream: TextIO) -> None:
    """Print the report, without its questions."""
    console = plain_console(stream)
    console.print(_figures(report))
    console.print(_thresholds(report.figures))
    console.print(_letters(report.figures))
    if len(report.figures.subjects) > 1:
        console.print(_subjects(report.figures))
    if report.compared is not None:
        _print_comparison(console, report.compared)
    _print_list(console, [f"left out: {line}" for line in (*report.skipped, *report.duplicates)])
    _print_list(
        console,
        [
            f"not answered: left out of the figures, wrong for the verdict: {failure.id}: {failure.detail}"
            for failure in report.failures
        ],
    )
    if report.verdict is not None:
        console.print(f"{report.verdict.outcome}:")
        for limit in report.verdict.limits:
            console.print(f"- {limit.outcome}: {limit.detail}")


def plain_console(stream: TextIO) -> Console:
    """Return a console without colours; a file gets lines of 110 characters."""
    return PlainConsole(file=stream, width=None if stream.isatty() else 110)


def _figures(report: Report) -> Table:
    figures, count = report.figures, len(report.rows)
    table = Table(title=f"{report.model}: {', '.join(report.exams)}", show_header=False, title_justify="left")
    table.add_column()
    table.add_column()
    rows = {
        "questions": f"{count} ({report.split}), debias: {report.debias or 'the default'}",
        "accuracy": _proportion(figures.accuracy),
        "abstained": f"{figures.abstained:.1%}; accuracy of the answered {_proportion(figures.answered)}",
        **_scores(figures),
        "spread of recalls": f"{figures.recall_deviation:.3f} (RStd over letters; 0 is no selection bias)",
        "time": f"{report.seconds / count:.3f} s a question ({report.seconds:.1f} s, {report.target})",
        "time to an answer": f"{report.latency.p50_ms:.0f} ms at the median, {report.latency.p95_ms:.0f} ms at the"
        f" 95th percentile, {report.latency.at_once} asked at once",
        "tokens": f"{report.tokens.prompt_tokens} read, {report.tokens.cached_tokens} of them from the prefix cache",
    }
    if not figures.abstained:
        del rows["abstained"]
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _proportion(share: Proportion) -> str:
    """Return a share with its 95 % interval."""
    if share.value is None:
        return "of no question"
    low, high = share.ci95
    return f"{share.value:.3f} ({share.right} of {share.total}; 95 %: {low:.3f} to {high:.3f})"


def _scores(figures: Figures) -> dict[str, str]:
    """Return how well calibrated the probabilities are."""
    ece, mass = figures.ece, figures.ece_equal_mass
    return {
        "mean confidence": f"{figures.mean_confidence:.3f}",
        "calibration error": f"{ece.value:.3f} (ECE, {ece.bins} bins of equal width; by chance alone "
        f"{ece.by_chance:.3f}; 95 %: at most {ece.at_most:.3f}); {mass.value:.3f} in bins of equal mass (by chance "
        f"{mass.by_chance:.3f})",
        "Brier score": f"{figures.brier:.3f}",
        "log-likelihood": f"{-figures.negative_log_likelihood:.3f} nats a question",
        **(
            {}
            if figures.level_error is None
            else {"error of scores": f"{figures.level_error:.3f} levels (mean)"}
        ),
    }


def _thresholds(figures: Figures) -> Table:
    """Return the minimum confidence for each target accuracy."""
    table = Table(title="Minimum confidence that reaches an accuracy", title_justify="left")
    for column in ("target accuracy", "minimum confidence", "answered", "right of these", "95 % interval"):
        table.add_column(column, justify="right")
    for each in figures.thresholds:
        point = each.point
        cells = ("not shown", "", "", "")
        if point is not None:
            cells = (
                f"{point.min_confidence:.4f}",
                f"{point.coverage:.1%}",
                f"{point.accuracy:.3f} ({point.right} of {point.total})",
                f"{point.interval[0]:.3f} to {point.interval[1]:.3f}",
            )
        table.add_row(f"{each.target_accuracy:g}", *cells)
    return table


def _letters(figures: Figures) -> Table:
    """Return the selection-bias table."""
    table = Table(title="Letters", title_justify="left")
    for column in ("letter", "right", "chosen", "recall"):
        table.add_column(column, justify="right")
    for row in figures.letters:
        recall = "" if row.recall is None else f"{row.recall:.3f}"
        table.add_row(row.label, str(row.right), str(row.chosen), recall)
    return table


def _subjects(figures: Figures) -> Table:
    """Return the subjects, two in a row because there may be many."""
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


def _print_comparison(console: Console, compared: Comparison) -> None:
    console.print(
        f"Compared on {compared.questions} questions, {compared.unanswered} of them without an answer now: only the "
        f"earlier result has {compared.only_before} right, only this one {compared.only_now}; McNemar's exact p = "
        f"{compared.p_value:.3g}."
    )
    table = Table(title="Discordant questions", title_justify="left")
    for column in ("question", "right", "before", "now"):
        table.add_column(column)
    for each in compared.discordant[:_SHOWN]:
        table.add_row(each.id, each.answer, each.before, each.now or "no answer")
    if compared.discordant:
        console.print(table)
    _print_more(console, len(compared.discordant))


def _print_list(console: Console, lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        console.print(line)
    _print_more(console, len(lines))


def _print_more(console: Console, count: int) -> None:
    if count > _SHOWN:
        console.print(f"… and {count - _SHOWN} more: see the JSON.")
