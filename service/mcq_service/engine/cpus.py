"""How many threads to compute with."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available(cgroup: Path = _CGROUP) -> int:
    """The CPUs this process may use: its affinity, or less where a cgroup (v1 or v2) has a CPU quota.

    torch counts the affinity alone, and is then throttled inside a container that has a limit.
    """
    cpus = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    """CPUs a second, or None where there is no limit."""
    unified = cgroup / "cpu.max"
    if unified.is_file():
        limit, period = unified.read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    limit_file, period_file = cgroup / "cpu/cpu.cfs_quota_us", cgroup / "cpu/cpu.cfs_period_us"
    if limit_file.is_file() and period_file.is_file() and int(limit_file.read_text()) > 0:
        return int(limit_file.read_text()) / int(period_file.read_text())
    return None
