"""External programs: built from the pinned Go modules in modules/, or installed from Debian.

A module is built once into `$MCQ_CACHE/tools/<module>-<hash of its go.mod and go.sum>/`; only binaries are kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.toolchain.commands import run
from hack.toolchain.errors import MissingToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hack.toolchain.progress import Progress

MODULES = Path(__file__).parent / "modules"
GO_VERSION = (1, 26)
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
        return self.cache / "tools" / f"{module}-{hashlib.sha256(self.pins(module)).hexdigest()[:12]}"

    @staticmethod
    def pins(module: str) -> bytes:
        """Return the module's build inputs: the contents of its go.mod and go.sum."""
        return b"".join((MODULES / module / name).read_bytes() for name in ("go.mod", "go.sum"))

    def binary(self, module: str, name: str | None = None) -> Path:
        """Return the path of one of the module's binaries, built or not."""
        return self.directory(module) / (name or module)

    def build(self, modules: Sequence[str]) -> None:
        """Build the modules that are missing, one after the other."""

        def missing() -> list[str]:
            return [module for module in modules if not self.directory(module).exists()]

        if not missing():  # don't wait for the lock without need
            return
        with locked(self.cache / "tools" / ".lock"):
            absent = missing()
            if not absent:
                return
            require_go()
            self.progress.say(f"Building {', '.join(absent)} once, from pinned Go modules (minutes each):")
            build_cache = self.cache / "go-build"
            for module in absent:
                with self.progress.step(f"go build {module}"):
                    self._build(module, build_cache)
            shutil.rmtree(build_cache, ignore_errors=True)

    def _build(self, module: str, build_cache: Path) -> None:
        final = self.directory(module)
        partial = final.with_name(f"{final.name}.tmp")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        environment = {
            **os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOCACHE": str(build_cache),
        }  # fmt: skip
        run(
            ["go", "build", "-trimpath", "-ldflags", _linker_flags(module), "-o", f"{partial}/", "tool"],
            env=environment, cwd=MODULES / module, timeout=7200,
        )  # fmt: skip
        partial.rename(final)


def _linker_flags(module: str) -> str:
    """Return flags for smaller binaries. Kubernetes also needs its version, because its parts compare theirs."""
    flags = "-s -w"
    if module.startswith("kubernetes"):
        pins = (MODULES / module / "go.mod").read_text()
        version = re.search(r"k8s\.io/kubernetes v((\d+)\.(\d+)\.\d+)", pins)
        if not version:
            message = f"modules/{module}/go.mod does not require k8s.io/kubernetes."
            raise MissingToolError(message)
        for variable, value in (
            ("gitVersion", f"v{version[1]}"),
            ("gitMajor", version[2]),
            ("gitMinor", version[3]),
        ):
            flags += f" -X k8s.io/component-base/version.{variable}={value}"
    return flags


def require_go() -> None:
    """Raise MissingToolError if Go is missing or too old."""
    required = ".".join(map(str, GO_VERSION))
    advice = (
        f"Go {required} or newer is needed, to build Kubernetes and its surroundings once: https://go.dev/dl"
    )
    if not shutil.which("go"):
        raise MissingToolError(advice)
    go_env = run(["go", "env", "GOVERSION", "GOTOOLCHAIN"]).split()
    numbers = re.match(r"go(\d+)\.(\d+)", go_env[0])
    # With GOTOOLCHAIN=auto an older Go downloads the version in go.mod.
    if numbers and (int(numbers[1]), int(numbers[2])) < GO_VERSION and go_env[-1] == "local":
        message = f"{advice}; here is {go_env[0]}."
        raise MissingToolError(message)


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
