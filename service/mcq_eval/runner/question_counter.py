"""Show on standard error how many questions are finished."""

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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LINE_SECONDS = 10.0


@contextmanager
def count_progress(title: str, total: int, stream: TextIO) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts finished questions; show a bar on a terminal, else a line every ten seconds."""
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
    start = written = clock()
    done = 0

    def advance(more: int) -> None:
        nonlocal done, written
        done += more
        if done == total or clock() - written >= _LINE_SECONDS:
            written = clock()
            stream.write(f"[{written - start:6.1f} s] {title}: {done} of {total}\n")
            stream.flush()

    return advance
