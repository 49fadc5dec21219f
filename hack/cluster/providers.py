"""Which cluster to use: kind, or the one of kubectl's current context."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from hack.cluster.current import Current
from hack.cluster.errors import ProviderError
from hack.cluster.kind import KindCluster

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hack.cluster.progress import Progress

CHOICES = ("kind", "current")


class Provider(Protocol):
    """What every kind of cluster can do."""

    def up(self) -> None:
        """Start what is not running. The cluster is ready when this returns."""

    def down(self) -> None:
        """Remove the cluster."""

    def status(self) -> bool:
        """Show the cluster; return True if it is up."""

    def load(self, image: str) -> str:
        """Make a local image available to the cluster; return the reference to use in a pod."""

    def kubeconfig(self) -> Path:
        """Return the path of its kubeconfig."""

    def kubectl(self) -> Path:
        """Return the path of a kubectl."""


def choose(progress: Progress, *, environment: Mapping[str, str] = os.environ) -> Provider:
    """Return the provider that CLUSTER names, kind by default. Raises ProviderError."""
    name = environment.get("CLUSTER") or "kind"
    if name not in CHOICES:
        message = f"CLUSTER={name} is unknown: {', '.join(CHOICES)}, or unset for kind."
        raise ProviderError(message)
    progress.say(f"Cluster: {'kind' if name == 'kind' else 'the current context of kubectl'}")
    return KindCluster(progress) if name == "kind" else Current(progress)
