"""Builds the programs of the pinned Go modules in modules/.

A file `modules/<module>/overlay/<import path>/<name>.go` replaces the file of that package in the build. It leaves out
parts that a local cluster doesn't use and that take minutes to compile, such as the clients of cloud providers.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.toolchain.commands import run
from hack.toolchain.errors import MissingToolError, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MODULES = Path(__file__).parent / "modules"
GO_VERSION = (1, 26)
PROGRAMS = "tool"
"""All programs that a module's go.mod names as tools."""
TAGS: Mapping[str, str] = {"prometheus": "remove_all_sd,enable_kubernetes_sd,enable_dns_sd"}
"""Build tags: Prometheus without the service discovery of cloud providers."""


def pins(module: str) -> bytes:
    """Return the module's build inputs: the contents of its go.mod, go.sum, overlay and tags."""
    folder = MODULES / module
    files = [folder / "go.mod", folder / "go.sum", *sorted((folder / "overlay").rglob("*.go"))]
    return b"".join(file.read_bytes() for file in files) + TAGS.get(module, "").encode()


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


@dataclass(frozen=True)
class GoBuild:
    """Builds modules with one cache of compiled packages, which they share."""

    cache: Path

    def build(self, module: str, target: Path) -> None:
        """Write the module's programs into the folder `target`. Raises CommandError."""
        with tempfile.TemporaryDirectory() as folder:
            # The linker drops the debug information, so don't let the compiler write it.
            flags = ["-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", _linker_flags(module)]
            options = [*self._options(module, Path(folder)), *flags]
            self._go(module, "build", *options, "-o", f"{target}/", PROGRAMS)

    def download(self, modules: Sequence[str]) -> None:
        """Download the sources of the modules' programs in the background. The build reports what fails."""

        def work() -> None:
            for module in modules:
                with tempfile.TemporaryDirectory() as folder, suppress(ToolError):
                    self._go(module, "list", *self._options(module, Path(folder)), "-deps", PROGRAMS)

        threading.Thread(target=work, daemon=True).start()

    def _options(self, module: str, folder: Path) -> list[str]:
        """Return the options for the module's tags and overlay; `folder` gets copies of the changed dependencies.

        (Go's own -overlay refuses files of downloaded modules.)
        """
        options = ["-tags", TAGS[module]] if module in TAGS else []
        root = MODULES / module / "overlay"
        copies: dict[str, Path] = {}
        for file in root.rglob("*.go"):
            package = str(file.parent.relative_to(root))
            where = "{{.Module.Path}} {{.Module.Dir}} {{.Dir}}"
            changed, source, place = self._go(module, "list", "-find", "-f", where, package).split()
            if changed not in copies:
                copies[changed] = folder / changed
                shutil.copytree(source, copies[changed], copy_function=shutil.copyfile)
            copy = copies[changed] / Path(place).relative_to(source)
            shutil.copyfile(file, copy / file.name)
        if copies:
            replaced = "".join(f"\nreplace {changed} => {copy}\n" for changed, copy in copies.items())
            (folder / "go.mod").write_text((MODULES / module / "go.mod").read_text() + replaced)
            shutil.copyfile(MODULES / module / "go.sum", folder / "go.sum")
            options.append(f"-modfile={folder / 'go.mod'}")
        return options

    def _go(self, module: str, *arguments: str) -> str:
        # The compiler collects its own garbage less often: a few per cent faster.
        own = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOCACHE": str(self.cache), "GOGC": "400"}
        command = ["go", *arguments]
        return run(command, env={**os.environ, **own}, cwd=MODULES / module, timeout=7200)


def _linker_flags(module: str) -> str:
    """Return flags for smaller binaries. Kubernetes also needs its version, because its parts compare theirs."""
    flags = "-s -w"
    if module.startswith("kubernetes"):
        version = re.search(rb"k8s\.io/kubernetes v((\d+)\.(\d+)\.\d+)", pins(module))
        if not version:
            message = f"modules/{module}/go.mod does not require k8s.io/kubernetes."
            raise MissingToolError(message)
        patch, major, minor = (group.decode() for group in version.groups())
        for variable, value in (("gitVersion", f"v{patch}"), ("gitMajor", major), ("gitMinor", minor)):
            flags += f" -X k8s.io/component-base/version.{variable}={value}"
    return flags
