"""Prints steps with their elapsed time to stderr; stdout is for script output.

A terminal shows the running seconds. A log file gets one line per step, and one per minute of a long step.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator


class Progress:
    """Prints the current step and its duration."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        """Write to `stream`, by default stderr; with `quiet`, `say` prints nothing."""
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._terminal = self._stream.isatty()

    def say(self, text: str) -> None:
        """Print one line."""
        if not self._quiet:
            self._write(f"{text}\n")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block. Print its name at the end, and during a long step also while it runs."""
        started = time.monotonic()
        done = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(name, started, done), daemon=True)
        ticker.start()
        outcome = "FAILED after "
        try:
            yield
            outcome = ""
        finally:
            done.set()
            ticker.join()
            line = f"  {name} … {outcome}{time.monotonic() - started:.1f} s"
            self._write(f"\r\033[K{line}\n" if self._terminal else f"{line}\n")

    def _tick(self, name: str, started: float, done: threading.Event) -> None:
        if self._terminal:
            self._write(f"  {name} …")
        while not done.wait(1 if self._terminal else 60):
            seconds = int(time.monotonic() - started)
            self._write(
                f"\r\033[K  {name} … {seconds} s" if self._terminal else f"  {name} … still, {seconds} s\n"
            )

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
