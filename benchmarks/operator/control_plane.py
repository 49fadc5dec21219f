"""The benchmark's own control plane, removed at the end."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hack import operator_rights
from hack.control_plane.control_plane import ControlPlane as Processes
from hack.control_plane.instance import Instance
from hack.kubectl import Kubectl
from hack.toolchain.paths import CACHE
from hack.toolchain.progress import Progress
from hack.toolchain.tools import locked

from benchmarks.procfs import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTS = ("etcd", "kube-apiserver", "kube-controller-manager")


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane with the CRDs and the operator's rights."""

    provider: Processes
    operator_kubeconfig: Path

    @property
    def kubectl(self) -> Kubectl:
        """kubectl as administrator."""
        return Kubectl(self.provider.kubectl(), self.provider.kubeconfig())

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU seconds of each process, by its name."""
        pids = {name: self.provider.processes.running(name) for name in PARTS}
        return {name: cpu_seconds(pid) for name, pid in pids.items() if pid is not None}

    def cpu_seconds_since(self, before: dict[str, float]) -> dict[str, float]:
        """Return the CPU seconds of each process since `before`, a result of `cpu_seconds`."""
        return {name: after - before[name] for name, after in self.cpu_seconds().items()}


@contextmanager
def running(namespaces: list[str]) -> Iterator[ControlPlane]:
    """Yield a control plane with these namespaces; always remove it at the end. One benchmark runs at a time."""
    provider = Processes(Instance("bench"), Progress())
    with locked(CACHE / "bench.lock"):
        try:
            provider.up()
            plane = ControlPlane(provider, provider.instance.state / "operator.kubeconfig")
            operator_rights.install(plane.kubectl)
            operator_rights.kubeconfig(plane.kubectl, plane.operator_kubeconfig)
            items = [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in namespaces
            ]
            listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
            plane.kubectl("apply", "-f", "-", stdin=listed)
            yield plane
        finally:
            provider.down()
