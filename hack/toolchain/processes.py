"""Background processes, recorded by pid and start time, ended by pid.

The start time distinguishes a process from a later one with the same pid.
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hack.toolchain.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hack.toolchain.progress import Progress

LOG_LINES = 15


@dataclass(frozen=True)
class Part:
    """A process of the cluster, and its readiness check."""

    name: str
    command: Sequence[str | Path]
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0


@dataclass(frozen=True)
class Processes:
    """The processes recorded in a directory, each with a log file of its name."""

    records: Path
    logs: Path

    def running(self, name: str) -> int | None:
        """Return the process's pid if it still runs."""
        try:
            record = json.loads((self.records / name).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        pid, started = record["pid"], record["start_time"]
        # None if the process exited before its start time was read.
        return pid if started is not None and start_time(pid) == started else None

    def names(self) -> list[str]:
        """Return the names of all started processes, in start order."""
        if not self.records.is_dir():
            return []
        return [
            path.name for path in sorted(self.records.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        ]

    def ensure(self, part: Part, progress: Progress) -> None:
        """Start the part if it does not run, and wait until it is ready. Raises StartError with the end of its log."""
        if self.running(part.name):
            if _answers(part.ready):
                return
            self.stop([part.name])
        with progress.step(part.name):
            self._start(part)
            self._wait(part)

    def confirm(self) -> None:
        """Raise StartError if a started process has exited."""
        for name in self.names():
            if not self.running(name):
                self._fail(name, "has ended")

    def stop(self, names: Iterable[str], *, grace: float = 10.0) -> None:
        """End the processes: SIGTERM to all, SIGKILL after `grace` seconds."""
        pids = {name: pid for name in names if (pid := self.running(name))}
        for signal_number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
            for name, pid in pids.items():
                if self.running(name):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal_number)
            deadline = time.monotonic() + seconds
            while any(self.running(name) for name in pids) and time.monotonic() < deadline:
                time.sleep(0.05)
        for name in names:
            (self.records / name).unlink(missing_ok=True)

    def tail(self, name: str) -> str:
        """Return the last lines of the process's log."""
        log = self.logs / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join(f"    {line[:400]}" for line in lines[-LOG_LINES:])

    def _start(self, part: Part) -> None:
        self.records.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        argv = [str(word) for word in part.command]
        log = str(self.logs / f"{part.name}.log")
        files = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        # Not subprocess: this process exits before its child and never waits for it.
        environment = {**os.environ, **part.env}
        pid = os.posix_spawnp(argv[0], argv, environment, file_actions=files, setsid=True)
        record = {"pid": pid, "start_time": start_time(pid)}
        (self.records / part.name).write_text(json.dumps(record))

    def _wait(self, part: Part) -> None:
        deadline = time.monotonic() + part.timeout
        while not _answers(part.ready):
            if not self.running(part.name):
                self._fail(part.name, "ended at once")
            if time.monotonic() > deadline:
                self._fail(part.name, f"was not ready in {part.timeout:.0f} s")
            time.sleep(0.1)

    def _fail(self, name: str, reason: str) -> NoReturn:
        message = f"{name} {reason}. The last lines of {self.logs / f'{name}.log'}:\n{self.tail(name)}"
        raise StartError(message)


def _answers(ready: Callable[[], bool]) -> bool:
    try:
        return ready()
    except OSError:  # connection refused, reset, timed out: not ready yet
        return False


def start_time(pid: int) -> int | None:
    """Return the process's start time in clock ticks since boot; None if it does not run or is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may have spaces
    return None if fields[0] in "ZX" else int(fields[19])
