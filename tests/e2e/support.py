"""Helpers that the tests on a cluster share."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from hack.kubectl import Kubectl


def eventually(condition: Callable[[], object], *, seconds: float, what: str = "") -> None:
    """Wait until `condition()` is true; the message of a failure contains `what`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds} s: {what or condition}"
        time.sleep(0.5)


def restricted_namespace(kubectl: Kubectl, name: str) -> None:
    """Delete the namespace if it exists, and create it with restricted Pod Security."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    kubectl("delete", "namespace", name, "--ignore-not-found")
    kubectl("apply", "--filename", "-", stdin=json.dumps(namespace))


def pod(
    kubectl: Kubectl, namespace: str, name: str, *, program: str = "import time; time.sleep(3600)",
    node: str | None = None, claim: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return a Pod that runs a Python program in the operator's image, which every cluster under test has.

    It mounts `claim` at /data.
    """
    image = kubectl(
        "-n", "mcq-operator-system", "get", "deployment/mcq-operator",
        "-o", "jsonpath={.spec.template.spec.containers[0].image}",
    )  # fmt: skip
    container = {
        "name": "main",
        "image": image,
        "command": ["python", "-c", program],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}] if claim else [],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node} if node else {},
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else [],
        },
    }
