"""The cgroup that all pods are under: made and removed in every hierarchy, of version 1 and 2."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def hierarchies() -> dict[Path, bool]:
    """{mount point: whether it is version 2}; a hybrid set-up has both, and version 2 without controllers."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return {Path(point): kind == "cgroup2" for _, point, kind, *_ in mounts if kind in ("cgroup", "cgroup2")}


def create(name: str) -> None:
    """Make the cgroup, with every controller ready for use by its children."""
    for mount, version_2 in hierarchies().items():
        if version_2:
            controllers = (mount / "cgroup.controllers").read_text().split()
            _delegate(mount, controllers)
            _path(mount, name).mkdir(exist_ok=True)
            _delegate(_path(mount, name), controllers)
            continue
        directory = _path(mount, name)
        directory.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # version 1 starts with none, where nothing can run
            if (directory / setting).exists():
                (directory / setting).write_text((mount / setting).read_text())


def remove(name: str) -> None:
    """Kill what still runs in the cgroup, and remove it with all below it."""
    for mount in hierarchies():
        root = _path(mount, name)
        if not root.is_dir():
            continue
        deadline = time.monotonic() + 10
        while root.is_dir() and time.monotonic() < deadline:
            for directory, _, _ in os.walk(root, topdown=False):
                with suppress(OSError):  # busy: what is killed has not gone yet
                    _kill_all(Path(directory))
                    Path(directory).rmdir()
            if root.is_dir():
                time.sleep(0.05)


def _path(mount: Path, name: str) -> Path:
    return mount / name.lstrip("/")


def _delegate(directory: Path, controllers: list[str]) -> None:
    for controller in controllers:
        with suppress(
            OSError
        ):  # not every controller can be had everywhere; the kubelet says which it misses
            (directory / "cgroup.subtree_control").write_text(f"+{controller}")


def _kill_all(directory: Path) -> None:
    for pid in (directory / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
