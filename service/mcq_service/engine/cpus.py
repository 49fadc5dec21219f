"""The number of CPUs to compute with, and the priority of the computing threads."""

from __future__ import annotations

import math
import os
import threading
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_NICE_STEP = 5


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Return the number of CPUs for this process: its affinity, or a smaller CPU quota of its cgroup (v1 or v2).

    torch counts only the affinity, so in a container with a limit it starts too many threads and is throttled.
    """
    cpus = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def lower_priority() -> None:
    """Give this thread, and the threads that it starts, a lower priority than the process's other threads.

    They compute for seconds. On a busy node the event loop would otherwise share its CPU with them, and could not even
    refuse requests in time. Between containers the cgroups' shares count, not this priority.
    """
    with suppress(OSError):  # a sandbox may forbid it
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + _NICE_STEP))


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
