"""Collects a failed deployment's objects, events and logs as files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from hack.kubectl import Kubectl, KubectlError
from hack.toolchain.paths import ROOT

from mcq_operator.api.rbac import NAMESPACE

if TYPE_CHECKING:
    from pathlib import Path

    from hack.toolchain.progress import Progress

FOLDER = ROOT / "build/diagnostics"
LINES = "2000"
SECONDS = 60.0


def diagnostics(kubectl: Kubectl, namespaces: list[str], progress: Progress) -> Path:
    """Collect the diagnostics, without Secrets; a file that can't be collected has the error. Return the folder."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with progress.step(f"collect logs and events into {FOLDER}"):
        _save(kubectl, "nodes.txt", "describe", "nodes")
        _save(kubectl, "solvers.yaml", "get", "mcqsolvers", "--all-namespaces", "--output", "yaml")
        for namespace in dict.fromkeys([NAMESPACE, *namespaces]):
            _collect_namespace(kubectl, namespace)
    return FOLDER


def _collect_namespace(kubectl: Kubectl, namespace: str) -> None:
    scope = ("--namespace", namespace)
    objects = ("get", "all,ingresses,persistentvolumeclaims", "--output", "wide")
    _save(kubectl, f"{namespace}/objects.txt", *scope, *objects)
    _save(kubectl, f"{namespace}/events.txt", *scope, "get", "events", "--sort-by=.lastTimestamp")
    _save(kubectl, f"{namespace}/pods.txt", *scope, "describe", "pods")
    pods = _save(kubectl, f"{namespace}/pods-by-name.txt", *scope, "get", "pods", "--output", "name")
    for pod in pods.split():
        name = pod.partition("/")[2]
        logs = (*scope, "logs", name, "--all-containers", f"--tail={LINES}")
        _save(kubectl, f"{namespace}/{name}.log", *logs)
        _save(kubectl, f"{namespace}/{name}.previous.log", *logs, "--previous")


def _save(kubectl: Kubectl, file: str, *arguments: str) -> str:
    path = FOLDER / file
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        output = kubectl(*arguments, timeout=SECONDS)
    except KubectlError as error:
        path.write_text(f"kubectl {' '.join(arguments)}: {error}\n")
        return ""
    path.write_text(output)
    return output
