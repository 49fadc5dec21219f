"""Record this release's objects for the next release's upgrade test.

`python -m delivery.release.record` runs the checkout's operator on its own control plane, and writes the CRDs, the
resources with their statuses, and their objects to tests/operator/upgrade.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from benchmarks.operator import operator_process
from benchmarks.operator.scenarios import settled
from hack import operator_rights
from hack.control_plane.control_plane import ControlPlane
from hack.control_plane.instance import Instance
from hack.kubectl import Kubectl
from hack.toolchain.paths import ROOT
from hack.toolchain.progress import Progress

from mcq_operator.api.kinds import CHILDREN, OPTIONAL, RECONCILED
from mcq_operator.api.names import MANAGED_SELECTOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcq_operator.api.kinds import Kind

RECORDED = ROOT / "tests/operator/upgrade"
NAMESPACE = "recorded-namespace"
"""The recorded namespace; a name that occurs nowhere else in the records."""
NO_SERVER = "http://127.0.0.1:9"
"""An address without a server: there are no replicas for test questions."""
SERVER_FIELDS = (
    "managedFields",
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "namespace",
    "selfLink",
)
"""Metadata fields that the API server alone decides on."""


def main() -> None:
    """Write the record."""
    provider = ControlPlane(Instance("record"), Progress())
    try:
        provider.up()
        kubectl = Kubectl(provider.kubectl(), provider.kubeconfig())
        operator_rights.install(kubectl)
        kubectl("create", "namespace", NAMESPACE)
        resources = (RECORDED / "specs.yaml").read_text()
        kubectl("--namespace", NAMESPACE, "apply", "--server-side", "--filename", "-", stdin=resources)
        asyncio.run(_reconcile(kubectl))
        _write("resources.yaml", _live(kubectl, RECONCILED))
        kinds = [kind for kind in CHILDREN if kind not in OPTIONAL]
        _write("objects.yaml", _live(kubectl, kinds, f"--selector={MANAGED_SELECTOR}"))
        for crd in sorted((ROOT / "crds").glob("mcq-operator.dev_*.yaml")):
            shutil.copy(crd, RECORDED)
    finally:
        provider.down()


async def _reconcile(kubectl: Kubectl) -> None:
    """Let the operator reconcile until it has nothing left to write."""
    with tempfile.TemporaryDirectory() as directory:
        kubeconfig = operator_rights.kubeconfig(kubectl, Path(directory) / "kubeconfig")
        log = Path(directory) / "operator.log"
        program = operator_process.ours(kubeconfig, canary=NO_SERVER)
        async with operator_process.running(program, log) as operator:
            await settled(operator, lambda _: True)


def _live(kubectl: Kubectl, kinds: Iterable[Kind], *selector: str) -> list[dict[str, Any]]:
    plurals = ",".join(f"{kind.plural}.{kind.group}" for kind in kinds)
    output = kubectl("--namespace", NAMESPACE, "get", plurals, *selector, "--output", "json")
    return [_without_server_fields(item) for item in json.loads(output)["items"]]


def _without_server_fields(item: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in item["metadata"].items() if key not in SERVER_FIELDS}
    spec = {key: value for key, value in item.get("spec", {}).items() if not key.startswith("clusterIP")}
    return {**item, "metadata": metadata, **({"spec": spec} if spec else {})}


def _write(name: str, items: list[dict[str, Any]]) -> None:
    header = "# From the last release: python -m delivery.release.record\n"
    (RECORDED / name).write_text(header + yaml.safe_dump_all(items, sort_keys=True))


if __name__ == "__main__":
    main()
