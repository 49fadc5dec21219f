"""The cluster of kubectl's current context: used as it is, never started or stopped."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.images import docker
from hack.toolchain.commands import run
from hack.toolchain.errors import MissingToolError, ProviderError

if TYPE_CHECKING:
    from hack.toolchain.progress import Progress


@dataclass(frozen=True)
class Current:
    """The cluster of the current kubectl context."""

    progress: Progress

    def up(self) -> None:
        """Check that the cluster answers."""
        with self.progress.step(f"the cluster of context {self._context()!r} answers"):
            run([self.kubectl(), "version"], timeout=30)

    def down(self) -> None:
        """Do nothing, and report that."""
        self.progress.say(f"The cluster of context {self._context()!r} is not ours to stop.")

    def status(self) -> bool:
        """Show the cluster's nodes."""
        self.progress.say(run([self.kubectl(), "get", "nodes", "-o", "wide"], timeout=30))
        return True

    def load(self, image: str) -> str:
        """Push the image to the registry in REGISTRY; return the reference by digest."""
        registry = os.environ.get("REGISTRY")
        if not registry:
            raise ProviderError("Set REGISTRY to a registry that the cluster pulls from (HOST[:PORT]/PATH).")
        name, _, tag = image.partition(":")
        with self.progress.step(f"push {image}"):
            digest = docker.push(image, f"{registry}/{name}:{tag or 'latest'}")
        return f"{registry}/{name}@{digest}"

    def kubeconfig(self) -> Path:
        """Return KUBECONFIG, or kubectl's default. It may be a list: kubectl merges its files."""
        return Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube/config")

    def kubectl(self) -> Path:
        """Return kubectl from PATH."""
        kubectl = shutil.which("kubectl")
        if not kubectl:
            raise MissingToolError("kubectl is not installed.")
        return Path(kubectl)

    def _context(self) -> str:
        return run([self.kubectl(), "config", "current-context"]).strip()
