"""The machine's CPU, and a process's CPU seconds and memory, from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
MIB = 2**10
"""/proc reports KiB."""


def machine() -> dict[str, Any]:
    """Return this machine's CPU, how many it has, and its instruction sets."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = next(line.partition(": ")[2] for line in cpuinfo.splitlines() if line.startswith("model name"))
    fields = set(cpuinfo.split())
    return {"cpu": model, "cpus": os.cpu_count(), "flags": [flag for flag in FLAGS if flag in fields]}


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
