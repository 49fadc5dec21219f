"""Steps that the tests against a real API server share."""

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
"""A solver with each child that needs no kind of another project."""


def own_host(kubectl: Kubectl) -> dict[str, Any]:
    """SPEC with a host that no other test's Ingress has: an operator of all namespaces would tell of that."""
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
    actual = kubectl.get(kind, name)
    assert actual is not None, f"{kind} {name} is missing"
    return actual


def condition(kubectl: Kubectl, kind: str) -> dict[str, Any]:
    conditions = existing(kubectl, "mcq", "demo")["status"]["conditions"]
    return next(item for item in conditions if item["type"] == kind)


async def until(true: Callable[[], Any], seconds: float = 15) -> None:
    """Wait for it. The seconds are those between the looks: a slow machine looks as often as a quick one."""
    for _ in range(int(seconds / PAUSE)):
        if true():
            return
        await asyncio.sleep(PAUSE)
    message = f"not within {seconds} s: {true}"
    raise AssertionError(message)


def names_of_pods(kubectl: Kubectl, labels: str = "") -> list[str]:
    return [pod["metadata"]["name"] for pod in kubectl.list("pods", labels)]


async def kubelet(kubectl: Kubectl, replicas: int = 3) -> None:
    """Let every replica be ready, as far as the Pods' statuses tell, and the Deployment know it; and have an Ingress
    controller serve the Ingress, if there is one.
    """
    if kubectl.get("ingress", "demo"):
        served = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
        patch(kubectl, "ingress", "demo", served, subresource="status")

    def pods() -> list[str]:
        return names_of_pods(kubectl)

    await until(lambda: len(pods()) == replicas)
    since = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", **since}]}}
    for name in pods():
        patch(kubectl, "pod", name, ready, subresource="status")

    def available() -> bool:
        status = existing(kubectl, "deployment", "demo")["status"]
        return bool(status.get("availableReplicas", 0) == status.get("replicas") == replicas)

    await until(available)


def all_made(kubectl: Kubectl) -> bool:
    """Whether all pods were made, and the Deployment and the solver say so."""
    deployment, solver = kubectl.get("deployment", "demo"), existing(kubectl, "mcq", "demo")
    return (
        deployment is not None
        and deployment.get("status", {}).get("unavailableReplicas") == deployment["spec"]["replicas"]
        and "conditions" in solver.get("status", {})
    )
