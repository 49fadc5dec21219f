"""What a person wants to see of a failed deployment: objects, events and logs, as files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from hack.delivery.install import NAMESPACE
from hack.delivery.settings import ROOT
from hack.kubectl import Kubectl, KubectlError

if TYPE_CHECKING:
    from pathlib import Path

    from hack.cluster.progress import Progress

FOLDER = ROOT / "build/diagnostics"
LINES = "2000"


def diagnostics(kubectl: Kubectl, namespaces: list[str], progress: Progress) -> Path:
    """Collect them; what can't be had is told in its file. Never holds a Secret. Returns the folder."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with progress.step(f"collect logs and events into {FOLDER}"):
        _keep(kubectl, "nodes.txt", "describe", "nodes")
        _keep(kubectl, "solvers.yaml", "get", "mcqsolvers", "--all-namespaces", "--output", "yaml")
        for namespace in dict.fromkeys([NAMESPACE, *namespaces]):
            _of_namespace(kubectl, namespace)
    return FOLDER


def _of_namespace(kubectl: Kubectl, namespace: str) -> None:
    scope = ("--namespace", namespace)
    _keep(
        kubectl,
        f"{namespace}/objects.txt",
        *scope,
        "get",
        "all,ingresses,persistentvolumeclaims",
        "--output",
        "wide",
    )
    _keep(kubectl, f"{namespace}/events.txt", *scope, "get", "events", "--sort-by=.lastTimestamp")
    _keep(kubectl, f"{namespace}/pods.txt", *scope, "describe", "pods")
    pods = _keep(kubectl, f"{namespace}/pods-by-name.txt", *scope, "get", "pods", "--output", "name")
    for pod in pods.split():
        name = pod.partition("/")[2]
        logs = (*scope, "logs", name, "--all-containers", f"--tail={LINES}")
        _keep(kubectl, f"{namespace}/{name}.log", *logs)
        _keep(kubectl, f"{namespace}/{name}.previous.log", *logs, "--previous")


def _keep(kubectl: Kubectl, file: str, *arguments: str) -> str:
    path = FOLDER / file
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = kubectl(*arguments, timeout=60)
    except KubectlError as error:
        path.write_text(f"kubectl {' '.join(arguments)}: {error}\n")
        return ""
    path.write_text(found)
    return found
