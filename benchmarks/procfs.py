"""A process's CPU seconds and memory, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
MIB = 2**10
"""/proc reports KiB."""


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of all the process's threads since it started."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> dict[str, float]:
    """Return MiB: `pss` and `rss` now, and the peak `rss_peak`."""
    pss = _sizes(f"/proc/{pid}/smaps_rollup")["Pss"]
    status = _sizes(f"/proc/{pid}/status")
    return {"pss": pss / MIB, "rss": status["VmRSS"] / MIB, "rss_peak": status["VmHWM"] / MIB}


def _sizes(path: str) -> dict[str, int]:
    lines = (line.partition(":") for line in Path(path).read_text().splitlines())
    return {key: int(value.split()[0]) for key, _, value in lines if value.endswith("kB")}
