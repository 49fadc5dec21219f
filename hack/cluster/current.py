"""The cluster that kubectl's current context points at: used as it is, neither started nor stopped."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.cluster.commands import run
from hack.cluster.errors import MissingToolError, ProviderError
from hack.images import docker

if TYPE_CHECKING:
    from hack.cluster.progress import Progress


@dataclass(frozen=True)
class Current:
    """The cluster of the current kubectl context."""

    progress: Progress

    def up(self) -> None:
        """Check that it answers."""
        with self.progress.step(f"the cluster of context {self._context()!r} answers"):
            run([self.kubectl(), "version"], timeout=30)

    def down(self) -> None:
        """Leave it alone, and say so."""
        self.progress.say(f"The cluster of context {self._context()!r} is not ours to stop.")

    def status(self) -> bool:
        """Show its nodes."""
        self.progress.say(run([self.kubectl(), "get", "nodes", "-o", "wide"], timeout=30))
        return True

    def load(self, image: str) -> str:
        """Push the image to the registry named by REGISTRY; returns the reference by digest."""
        registry = os.environ.get("REGISTRY")
        if not registry:
            raise ProviderError("Set REGISTRY to a registry that the cluster pulls from (HOST[:PORT]/PATH).")
        name, _, tag = image.partition(":")
        with self.progress.step(f"push {image}"):
            digest = docker.push(image, f"{registry}/{name}:{tag or 'latest'}")
        return f"{registry}/{name}@{digest}"

    def kubeconfig(self) -> Path:
        """The path of the kubeconfig that kubectl reads first."""
        return Path(os.environ.get("KUBECONFIG", "").split(os.pathsep)[0] or Path.home() / ".kube/config")

    def kubectl(self) -> Path:
        """kubectl from PATH."""
        found = shutil.which("kubectl")
        if not found:
            raise MissingToolError("kubectl is not installed.")
        return Path(found)

    def _context(self) -> str:
        return run([self.kubectl(), "config", "current-context"]).strip()
