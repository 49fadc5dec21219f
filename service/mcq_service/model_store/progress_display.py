"""Show progress and errors on standard error: a bar on a terminal, and lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from mcq_service.model_store.progress import Progress, Stage, ThrottledProgress
from mcq_service.runtime.terminal import printable

_LINE_SECONDS = 5.0


def report_error(error: Exception) -> int:
    """Print why a command failed, in one line on standard error; return the error's exit code, or 1.

    Raises the error again if it is a BrokenPipeError: the reader has left.
    """
    if isinstance(error, BrokenPipeError):
        raise error
    sys.stderr.write(f"error: {printable(str(error))}\n")
    return int(getattr(error, "exit_code", 1))


@contextmanager
def show_progress(stream: TextIO = sys.stderr) -> Iterator[Progress]:
    """Yield a progress that is shown on `stream`."""
    if stream.isatty():
        with _bar(Console(file=stream)) as report:
            yield report
    else:
        yield line_progress(stream)


@contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.fields[stage]}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None, stage="")

        def report(stage: Stage, fraction: float | None, detail: str) -> None:
            total = None if fraction is None else 1.0
            bars.update(task, total=total, completed=fraction or 0.0, description=detail, stage=stage.value)

        yield report


def line_progress(stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Return a progress that writes a line for each new detail, and every few seconds while it lasts."""
    start = clock()

    def write(stage: Stage, fraction: float | None, detail: str) -> None:
        percent = "" if fraction is None else f" {fraction:4.0%}"
        stream.write(f"[{clock() - start:5.1f} s] {stage.value}{percent}: {printable(detail)}\n")
        stream.flush()

    return ThrottledProgress(write, interval=_LINE_SECONDS, clock=clock)
