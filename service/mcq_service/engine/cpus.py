"""The number of CPUs to compute with."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Return the number of CPUs for this process: its affinity, or a smaller CPU quota of its cgroup (v1 or v2).

    torch counts only the affinity, and is throttled in a container with a limit.
    """
    cpus = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    """Return the cgroup's quota in CPUs; None without a limit."""
    unified = cgroup / "cpu.max"
    if unified.is_file():
        limit, period = unified.read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    limit_file, period_file = cgroup / "cpu/cpu.cfs_quota_us", cgroup / "cpu/cpu.cfs_period_us"
    if limit_file.is_file() and period_file.is_file() and int(limit_file.read_text()) > 0:
        return int(limit_file.read_text()) / int(period_file.read_text())
    return None
