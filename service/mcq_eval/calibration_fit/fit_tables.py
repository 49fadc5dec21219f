"""Print a fit as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.table import Table

from mcq_eval.metrics import calibration_error
from mcq_eval.metrics.outcomes import accuracy, negative_log_likelihood
from mcq_eval.report.exam_report import Figures
from mcq_eval.report.tables import plain_console

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_eval.calibration_fit.fit import Fit


def print_fit(fit: Fit, stream: TextIO) -> None:
    """Print the calibration, the trials, and its effect on questions that it was not fitted on."""
    console = plain_console(stream)
    console.print(_trials(fit))
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


def _trials(fit: Fit) -> Table:
    """Return a row for each form and plan, on questions that it was not fitted on. The star marks the taken ones."""
    table = Table(title="Tried, by cross-validation; * is taken", title_justify="left")
    for column in ("choices", "", "prompts", "accuracy", "ECE", "log-likelihood"):
        table.add_column(column, justify="left" if column == "" else "right")
    for each in fit.trials:
        table.add_row(
            "all" if each.choices is None else str(each.choices),
            f"{'*' if each.taken else ' '} {each.name}",
            f"{each.prompts:.2f}",
            f"{accuracy(each.outcomes).value:.3f}",
            f"{calibration_error.ece(each.outcomes):.3f}",
            f"{-negative_log_likelihood(each.outcomes):.3f}",
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
