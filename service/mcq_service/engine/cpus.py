"""The number of CPUs to compute with, and the priority of the computing threads."""

from __future__ import annotations

import math
import os
import threading
from contextlib import suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_NICE_STEP = 5


def available_cpus(*, cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> int:
    """Return the number of CPUs for this process: its affinity, or a smaller CPU quota of its cgroups (v1 or v2).

    torch counts only the affinity, so in a container with a limit it starts too many threads and is throttled.
    """
    quotas = [quota for each in _folders(cgroups, own) if (quota := _quota(each)) is not None]
    return max(1, min([len(os.sched_getaffinity(0)), *map(math.ceil, quotas)]))


def lower_priority() -> None:
    """Give this thread, and the threads that it starts, a lower priority than the process's other threads.

    These threads compute for seconds. On a busy node the event loop would otherwise share its CPU with them, and could
    not even refuse requests in time. Between containers the cgroups' shares count, not this priority.
    """
    with suppress(OSError):  # a sandbox may forbid it
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + _NICE_STEP))


def _folders(cgroups: Path, own: Path) -> list[Path]:
    """Return the folders of the process's own cgroup and of all above it: the process shares their quotas.

    A line of /proc/self/cgroup is ID:CONTROLLERS:PATH; v2 has no controllers. In a container PATH may be the host's,
    which is not mounted there; the container's own cgroup is then at the top.
    """
    folders = []
    for line in own.read_text().splitlines() if own.is_file() else ():
        _, controllers, path = line.split(":", 2)
        top = cgroups / "cpu" if "cpu" in controllers.split(",") else cgroups if not controllers else None
        if top is not None:
            place = top / path.strip("/")
            folders += [place, *(each for each in place.parents if each.is_relative_to(top))]
    return folders


def _quota(folder: Path) -> float | None:
    """Return the quota of a cgroup in CPUs; None without a limit."""
    unified = folder / "cpu.max"
    if unified.is_file():
        limit, period = unified.read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    limit_file, period_file = folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"
    if limit_file.is_file() and period_file.is_file() and int(limit_file.read_text()) > 0:
        return int(limit_file.read_text()) / int(period_file.read_text())
    return None
