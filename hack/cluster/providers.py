"""Choose the cluster: kind, or the cluster of kubectl's current context."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from hack.cluster.current import Current
from hack.cluster.kind import KindCluster
from hack.toolchain.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hack.toolchain.progress import Progress

CHOICES = ("kind", "current")


class Provider(Protocol):
    """The operations of every kind of cluster."""

    def up(self) -> None:
        """Start whatever does not run yet. The cluster is ready on return."""

    def down(self) -> None:
        """Remove the cluster."""

    def status(self) -> bool:
        """Show the cluster; return True if it is up."""

    def load(self, image: str) -> str:
        """Make a local image available to the cluster; return the reference for pods."""

    def kubeconfig(self) -> Path:
        """Return the path of its kubeconfig."""

    def kubectl(self) -> Path:
        """Return the path of a kubectl."""


def choose(progress: Progress, *, environment: Mapping[str, str] = os.environ) -> Provider:
    """Return the provider named by CLUSTER, by default kind. Raises ProviderError."""
    name = environment.get("CLUSTER") or "kind"
    if name not in CHOICES:
        raise ProviderError(f"CLUSTER={name} is unknown: {', '.join(CHOICES)}, or unset for kind.")
    progress.say(f"Cluster: {'kind' if name == 'kind' else 'the current context of kubectl'}")
    return KindCluster(progress) if name == "kind" else Current(progress)
