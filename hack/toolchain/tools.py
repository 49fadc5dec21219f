"""External programs: built from the pinned Go modules in modules/, or installed from Debian.

A module is built once into `$MCQ_CACHE/tools/<module>-<hash of its pins>/`; only binaries are kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.toolchain.commands import run
from hack.toolchain.errors import MissingToolError
from hack.toolchain.go_modules import GoBuild, pins, require_go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hack.toolchain.progress import Progress

SECONDS_ON_TWO_CORES: Mapping[str, float] = {
    "kubernetes": 530, "cluster": 270, "local-path-provisioner": 20, "kind": 10, "prometheus": 180, "keda": 240,
    "jaeger": 240, "cosign": 120, "syft": 120,
}  # fmt: skip
"""Measured build times of the large modules, for an estimate of the time left."""
PACKAGES_LOCK = Path("/run/lock/mcq-operator-packages")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` against other processes of this tool."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Tools:
    """The Go modules' binaries, built on first use."""

    cache: Path
    progress: Progress

    def directory(self, module: str) -> Path:
        """Return the folder of the module's binaries, built or not."""
        return self.cache / "tools" / f"{module}-{hashlib.sha256(pins(module)).hexdigest()[:12]}"

    def binary(self, module: str, name: str | None = None) -> Path:
        """Return the path of one of the module's binaries, built or not."""
        return self.directory(module) / (name or module)

    def build(self, modules: Sequence[str]) -> None:
        """Build the modules that are missing, one after the other; the next ones are downloaded meanwhile."""

        def missing() -> list[str]:
            return [module for module in modules if not self.directory(module).exists()]

        if not missing():  # don't wait for the lock without need
            return
        with locked(self.cache / "tools" / ".lock"):
            if absent := missing():
                require_go()
                self._build(absent)

    def _build(self, modules: Sequence[str]) -> None:
        left = sum(map(seconds_on_two_cores, modules))
        self.progress.say(f"Building {', '.join(modules)} once, from pinned Go modules: {minutes(left)}.")
        build_cache = self.cache / "go-build"
        builds = GoBuild(build_cache)
        builds.download(modules[1:])
        done, started = 0.0, time.monotonic()
        for module in modules:
            with self.progress.step(f"go build {module}"):
                final = self.directory(module)
                partial = final.with_name(f"{final.name}.tmp")
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True)
                builds.build(module, partial)
                partial.rename(final)
            done += seconds_on_two_cores(module)
            left -= seconds_on_two_cores(module)
            if left:
                self.progress.say(f"    builds left: {minutes(left * (time.monotonic() - started) / done)}")
        shutil.rmtree(build_cache, ignore_errors=True)


def seconds_on_two_cores(module: str) -> float:
    """Return the measured seconds of the module's build, for the estimate of the time left."""
    return SECONDS_ON_TWO_CORES.get(module.partition("-1.")[0], 60.0)


def minutes(seconds: float) -> str:
    """Return a duration for people."""
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {seconds:.0f} s"


def install_programs(programs: Mapping[str, str], progress: Progress) -> None:
    """Install missing programs, {program: Debian package}, with apt-get, or raise an error that lists them."""
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    os.environ["PATH"] = search  # Debian installs iptables and other root programs in /usr/sbin

    def missing() -> list[str]:
        return [package for program, package in programs.items() if not shutil.which(program)]

    install_packages(missing, progress)


def install_packages(missing: Callable[[], list[str]], progress: Progress) -> None:
    """Install the Debian packages that `missing` returns with apt-get. Raises MissingToolError if apt-get can't."""
    if not missing():
        return
    if not shutil.which("apt-get") or os.geteuid() != 0 or sys.platform != "linux":
        message = f"Please install (Debian's names): {' '.join(missing())}"
        raise MissingToolError(message)
    # Only one apt-get runs at a time. Check again after the wait: another process may have installed the packages.
    with locked(PACKAGES_LOCK):
        packages = missing()
        if not packages:
            return
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        with progress.step(f"apt-get install {' '.join(packages)}"):
            run(["apt-get", "update", "-qq"], env=environment, timeout=600)
            install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
            run(install, env=environment, timeout=1800)
