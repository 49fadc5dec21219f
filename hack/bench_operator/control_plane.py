"""The API server that the operator is measured against: a control plane of its own, taken down at the end."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from hack.bench_operator.procfs import cpu_seconds
from hack.cluster.instance import CACHE, Instance
from hack.cluster.local import Local
from hack.cluster.progress import Progress
from hack.cluster.tools import locked

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = "mcq-operator-system"
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager")


@dataclass(frozen=True)
class ControlPlane:
    """A running one, with the CRDs and the operator's rights in it."""

    provider: Local
    operator_kubeconfig: Path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints, as administrator."""
        done = subprocess.run(
            [self.provider.kubectl(), *arguments],
            env={**os.environ, "KUBECONFIG": str(self.provider.kubeconfig())},
            input=stdin,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout

    def create_namespaces(self, names: list[str]) -> None:
        """Make namespaces."""
        items = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names]
        self.kubectl(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        )

    def cpu_seconds(self) -> dict[str, float]:
        """What its processes have used, by their names."""
        pids = {name: self.provider.processes.running(name) for name in PARTS}
        return {name: cpu_seconds(pid) for name, pid in pids.items() if pid is not None}


@contextmanager
def running() -> Iterator[ControlPlane]:
    """One that is taken down at the end, whatever happens; one benchmark at a time."""
    provider = Local(Instance("bench", has_node=False), Progress())
    with locked(CACHE / "bench.lock"):
        try:
            provider.up()
            made = ControlPlane(provider, provider.instance.state / "operator.kubeconfig")
            _install(made)
            yield made
        finally:
            provider.down()


def _install(plane: ControlPlane) -> None:
    """The CRDs, the operator's service account and its rights, and a kubeconfig of that account."""
    plane.kubectl("apply", "--server-side", "-k", str(ROOT / "config/crds"))
    plane.kubectl("wait", "--for=condition=Established", "crd/mcqsolvers.mcq-operator.dev", "--timeout=30s")
    plane.kubectl("apply", "--server-side", "-f", str(ROOT / "config/operator/namespace.yaml"))
    plane.kubectl("apply", "--server-side", "-k", str(ROOT / "config/rbac"))
    token = plane.kubectl("create", "token", "mcq-operator", "-n", SYSTEM, "--duration=8h").strip()
    config = yaml.safe_load(plane.kubectl("config", "view", "--raw", "--minify", "--flatten"))
    config["users"][0]["user"] = {"token": token}
    plane.operator_kubeconfig.write_text(yaml.safe_dump(config))
