"""`kubectl mcq exam`: the exams of a namespace."""

from collections.abc import Sequence

from mcq_operator.api import Condition, Manifest, MCQExam
from mcq_operator.api.text import one_line
from mcq_operator.cli.terminal import BOLD, styled, write_styled

HEADER = ("NAME", "SOLVER", "ACCURACY", "QUESTIONS", "PASSED", "COMPLETE")


def summary(exam: MCQExam) -> Manifest:
    """Return the exam's identity and its status without the inventory."""
    status = exam.status.model_dump(by_alias=True, exclude_none=True, exclude={"inventory"})
    return {"name": exam.name, "namespace": exam.namespace, **status}


def write(exams: Sequence[MCQExam]) -> None:
    """Write a line for each exam."""
    rows = [HEADER, *(_row(exam) for exam in exams)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        write_styled(styled(line, *([BOLD] if row is HEADER else [])))


def _row(exam: MCQExam) -> tuple[str, ...]:
    status = exam.status
    cells = (
        exam.name,
        status.solver or "-",
        status.summary or "-",
        "-" if status.count is None else str(status.count),
        _outcome(status.condition("Passed")),
        _outcome(status.condition("Complete")),
    )
    return tuple(one_line(cell) for cell in cells)


def _outcome(condition: Condition | None) -> str:
    """Return the condition's status, and the reason if it is not True."""
    if condition is None:
        return "-"
    return condition.status if condition.status == "True" else f"{condition.status} ({condition.reason})"
