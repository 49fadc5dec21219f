"""Steps that the tests with a real API server share."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.operator.conftest import Kubectl

from mcq_operator.api import Manifest

NAMES = {
    "serviceaccount": "demo",
    "persistentvolumeclaim": "demo-model-cache",
    "service": "demo",
    "deployment": "demo",
    "poddisruptionbudget": "demo",
    "configmap": "demo-dashboards",
    "ingress": "demo",
}
PAUSE = 0.05
SPEC: dict[str, Any] = {
    "ingress": {"className": "traefik", "host": "mcq.example.com"},
    "storage": {"cache": {"type": "PVC"}},
}
"""A solver with every child of a built-in kind."""


def own_host(kubectl: Kubectl) -> dict[str, Any]:
    """Return SPEC with a host of its own: an operator of all namespaces would report a conflict with other tests."""
    return {**SPEC, "ingress": {**SPEC["ingress"], "host": f"{kubectl.namespace}.example.com"}}


def apply(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    solver = {
        "apiVersion": "mcq-operator.dev/v1alpha1",
        "kind": "MCQSolver",
        "metadata": {"name": "demo"},
        "spec": spec,
    }
    kubectl.server.apply(solver, kubectl.namespace)


def patch(kubectl: Kubectl, kind: str, name: str, change: dict[str, Any], *, subresource: str = "") -> None:
    kubectl.server.patch(kind, name, kubectl.namespace, change, subresource)


def existing(kubectl: Kubectl, kind: str, name: str) -> Manifest:
    manifest = kubectl.get(kind, name)
    assert manifest is not None, f"{kind} {name} is missing"
    return manifest


def condition(kubectl: Kubectl, kind: str) -> dict[str, Any]:
    conditions = existing(kubectl, "mcq", "demo")["status"]["conditions"]
    return next(item for item in conditions if item["type"] == kind)


async def until(check: Callable[[], Any], seconds: float = 15) -> None:
    """Wait until `check` returns true. Only pauses count as seconds: a slow machine checks as often as a fast one."""
    for _ in range(int(seconds / PAUSE)):
        if check():
            return
        await asyncio.sleep(PAUSE)
    message = f"not within {seconds} s: {check}"
    raise AssertionError(message)


def pod_names(kubectl: Kubectl, labels: str = "") -> list[str]:
    return [pod["metadata"]["name"] for pod in kubectl.list("pods", labels)]


async def mark_pods_ready(kubectl: Kubectl, replicas: int = 3) -> None:
    """Mark every replica's Pod ready as a kubelet does, and wait until the Deployment has counted them.

    If there is an Ingress, give it an address as an Ingress controller does.
    """
    if kubectl.get("ingress", "demo"):
        served = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
        patch(kubectl, "ingress", "demo", served, subresource="status")

    def pods() -> list[str]:
        return pod_names(kubectl)

    await until(lambda: len(pods()) == replicas)
    since = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", **since}]}}
    for name in pods():
        patch(kubectl, "pod", name, ready, subresource="status")

    def available() -> bool:
        status = existing(kubectl, "deployment", "demo")["status"]
        return bool(status.get("availableReplicas", 0) == status.get("replicas") == replicas)

    await until(available)


def all_created(kubectl: Kubectl) -> bool:
    """Return whether all Pods exist, and the Deployment and the solver have a status."""
    deployment, solver = kubectl.get("deployment", "demo"), existing(kubectl, "mcq", "demo")
    return (
        deployment is not None
        and deployment.get("status", {}).get("unavailableReplicas") == deployment["spec"]["replicas"]
        and "conditions" in solver.get("status", {})
    )
