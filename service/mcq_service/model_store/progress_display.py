"""For a person, on standard error: failures; progress, a bar on a terminal and a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from mcq_service.model_store.progress import Progress, Stage
from mcq_service.runtime.terminal import plain

_LINE_SECONDS = 5.0


def failed(error: Exception) -> int:
    """Say in one line on standard error why a command failed; returns its exit code, the error's own or 1.

    Raises BrokenPipeError as it is: nobody is left to say it to.
    """
    if isinstance(error, BrokenPipeError):
        raise error
    sys.stderr.write(f"error: {plain(str(error))}\n")
    return int(getattr(error, "exit_code", 1))


@contextmanager
def shown(stream: TextIO = sys.stderr) -> Iterator[Progress]:
    """A progress that shows what it is told."""
    if stream.isatty():
        with _bar(Console(file=stream)) as report:
            yield report
    else:
        yield lines(stream)


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


def lines(stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> Progress:
    """A progress that writes a line when something new begins, and every few seconds while it lasts."""
    start = clock()
    said: tuple[Stage, str] | None = None
    at = start

    def report(stage: Stage, fraction: float | None, detail: str) -> None:
        nonlocal said, at
        now = clock()
        if (stage, detail) == said and now - at < _LINE_SECONDS:
            return
        said, at = (stage, detail), now
        percent = "" if fraction is None else f" {fraction:4.0%}"
        stream.write(f"[{now - start:5.1f} s] {stage.value}{percent}: {plain(detail)}\n")
        stream.flush()

    return report
