"""Which cluster: what CLUSTER asks for, else kind where a Docker engine answers, else the local one."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Protocol

from hack.cluster.current import Current
from hack.cluster.errors import ProviderError
from hack.cluster.instance import CONTROL_PLANE_NAME, DEFAULT_NAME, Instance
from hack.cluster.kind import Kind
from hack.cluster.local import Local
from hack.images.builder import docker_answers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hack.cluster.progress import Progress

CHOICES = ("current", "kind", "local")


class Provider(Protocol):
    """What every kind of cluster can do."""

    def up(self) -> None:
        """Start what does not run; ready when it returns."""

    def down(self) -> None:
        """Take it away."""

    def status(self) -> bool:
        """Show it; whether it is up."""

    def load(self, image: str) -> str:
        """Make a local image available to it; returns the reference to use in a pod."""

    def kubeconfig(self) -> Path:
        """The path of its kubeconfig."""

    def kubectl(self) -> Path:
        """The path of a kubectl."""


def choose(
    progress: Progress,
    *,
    control_plane_only: bool,
    name: str | None,
    environment: Mapping[str, str] = os.environ,
) -> Provider:
    """The provider to use, shown with the reason. A control plane alone is always local: it needs no root."""
    name = name or environment.get("MCQ_CLUSTER_NAME") or None
    if control_plane_only:
        instance = Instance(name or CONTROL_PLANE_NAME, has_node=False)
        progress.say(f"Cluster: local control plane {instance.name!r}, no node")
        return Local(instance, progress)
    wanted, why = _wanted(environment, named=name is not None)
    progress.say(f"Cluster: {wanted} ({why})")
    instance = Instance(name or DEFAULT_NAME, has_node=True)
    if wanted == "current":
        return Current(progress)
    if wanted == "kind":
        if not docker_answers():
            raise ProviderError(
                "kind needs a Docker engine that answers `docker info`: start one, and try again."
            )
        return Kind(instance, progress)
    return Local(instance, progress)


def _wanted(environment: Mapping[str, str], *, named: bool) -> tuple[str, str]:
    asked = environment.get("CLUSTER", "")
    if asked:
        if asked not in CHOICES:
            message = f"CLUSTER={asked} is unknown: {', '.join(CHOICES)}, or unset."
            raise ProviderError(message)
        return asked, f"CLUSTER={asked}"
    if named:
        return "local", "only local clusters have names"
    if not docker_answers():
        return "local", "no Docker engine answers"
    if shutil.which("kind") or shutil.which("go"):
        return "kind", "a Docker engine answers"
    return "local", "a Docker engine answers, but there is neither kind nor Go to build it with"
