"""Conditions report failures on a real node and say what to do; the scheduler places replicas as specified."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hack.cluster.kind import KindCluster
from hack.deploy import seed_model
from tests.e2e.support import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed
    from hack.kubectl import Kubectl

pytestmark = pytest.mark.slow
NAMESPACE = "mcq-failures"
GPU_NODE = "gpu-node"

UNREACHABLE = {"type": "OpenAI", "openai": {"endpoint": "http://nowhere.invalid/v1", "model": "x"}}
SMALL = {"requests": {"cpu": "10m", "memory": "32Mi"}}
MISSING_SECRET = {
    "volumes": [{"name": "certificates", "secret": {"secretName": "none"}}],
    "volumeMounts": [{"name": "certificates", "mountPath": "/certificates"}],
}
CASES: dict[str, tuple[dict[str, Any], set[str], str]] = {
    # fault: the spec, the expected reasons, and a part of the message
    "model": (
        {"model": {"uri": "hf://nobody/no-such-model"}},
        {"ModelUnreachable", "ModelNotFound"},
        "The model could not be loaded",
    ),
    "memory": ({"resources": {**SMALL, "limits": {"memory": "64Mi"}}}, {"OutOfMemory"}, "64Mi"),
    "image": (
        {"image": "localhost:5001/mcq-service:none"},
        {"ErrImagePull", "ImagePullBackOff"},
        "spec.image",
    ),
    "pull-policy": (
        {"image": "localhost:5001/mcq-service:none", "imagePullPolicy": "Never"},
        {"ErrImageNeverPull"},
        "imagePullPolicy",
    ),
    "node": ({"scheduling": {"nodeSelector": {"disk": "none"}}}, {"Unschedulable"}, "node affinity/selector"),
    "gpus": (
        {"resources": {**SMALL, "limits": {"nvidia.com/gpu": 64}}},
        {"Unschedulable"},
        "Insufficient nvidia.com/gpu",
    ),
    "runtime": ({"scheduling": {"runtimeClassName": "none"}}, {"ReplicaFailure"}, "none"),
    "secret": (
        {"engine": UNREACHABLE, "podTemplate": MISSING_SECRET},
        {"FailedMount"},
        'secret "none" not found',
    ),
}


@pytest.fixture(scope="module")
def kubectl(deployed: Deployed) -> Iterator[Kubectl]:
    """Yield kubectl after applying all solvers at once, each with one replica and the prepared model."""
    if not isinstance(deployed.provider, KindCluster):
        pytest.skip("the model is where the local cluster makes volumes only")
    kubectl = deployed.kubectl
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    kubectl("create", "namespace", NAMESPACE)
    specs = {name: case[0] for name, case in CASES.items()} | {"waiting": {"engine": UNREACHABLE}}
    for name, spec in specs.items():
        if "engine" not in spec and "model" not in spec:
            seed_model(deployed.provider, NAMESPACE, f"{name}-model-cache")
            spec = {**spec, "storage": {"cache": {"type": "PVC"}}}
        solver = {
            "apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"replicas": 1, "resources": SMALL, **spec},
        }  # fmt: skip
        kubectl("apply", "--filename", "-", stdin=json.dumps(solver))
    yield kubectl
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def condition(kubectl: Kubectl, name: str, kind: str) -> dict[str, Any]:
    """Return one condition of a solver; empty if it does not exist."""
    solver = json.loads(kubectl("--namespace", NAMESPACE, "get", "mcqsolver", name, "--output", "json"))
    conditions: list[dict[str, Any]] = solver.get("status", {}).get("conditions", [])
    return next((item for item in conditions if item["type"] == kind), {})


@pytest.mark.parametrize("name", CASES)
def test_conditions_report_a_failure_with_its_remedy(kubectl: Kubectl, name: str) -> None:
    """Degraded, Ready and an Event report the failure."""
    _, reasons, text = CASES[name]
    eventually(lambda: condition(kubectl, name, "Degraded").get("reason") in reasons, seconds=240)
    assert text in condition(kubectl, name, "Degraded")["message"]
    ready = condition(kubectl, name, "Ready")
    assert ready["status"] == "False"
    assert ready["reason"] in reasons
    selector = f"involvedObject.name={name},type=Warning"
    events = kubectl(
        "--namespace", NAMESPACE, "get", "events", "--field-selector", selector, "--output", "json"
    )
    assert reasons & {item["reason"] for item in json.loads(events)["items"]}


def test_a_starting_replicas_progress_is_shown(kubectl: Kubectl) -> None:
    """ModelLoaded has the message of the replica."""
    eventually(
        lambda: "nowhere.invalid" in condition(kubectl, "waiting", "ModelLoaded").get("message", ""),
        seconds=60,
    )
    message = condition(kubectl, "waiting", "ModelLoaded")["message"]
    assert message.startswith("Pod waiting-")


def test_replicas_are_placed_as_specified(kubectl: Kubectl) -> None:
    """With the real scheduler, only a labelled and tainted GPU node takes the replicas."""
    node = {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": GPU_NODE, "labels": {"pool": "gpu", "kubernetes.io/hostname": GPU_NODE}},
        "spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]},
    }  # fmt: skip
    room = {"cpu": "8", "memory": "64Gi", "pods": "20", "nvidia.com/gpu": "2"}
    status = {"status": {"capacity": room, "allocatable": room, "conditions": [{
        "type": "Ready", "status": "True", "reason": "Test", "message": "",
        "lastHeartbeatTime": None, "lastTransitionTime": None,
    }]}}  # fmt: skip
    solver = {
        "apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver",
        "metadata": {"name": "placed", "namespace": NAMESPACE},
        "spec": {
            "replicas": 2,
            "engine": UNREACHABLE,
            "resources": {"requests": {"cpu": "1"}, "limits": {"nvidia.com/gpu": 1}},
            "scheduling": {
                "nodeSelector": {"pool": "gpu"},
                "tolerations": [{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
                "priorityClassName": "system-cluster-critical",
            },
        },
    }  # fmt: skip
    kubectl("delete", "node", GPU_NODE, "--ignore-not-found")
    try:
        kubectl("create", "--filename", "-", stdin=json.dumps(node))
        kubectl(
            "patch", "node", GPU_NODE, "--subresource=status", "--type=merge", "--patch", json.dumps(status)
        )
        kubectl("apply", "--filename", "-", stdin=json.dumps(solver))

        def nodes() -> list[str]:
            selector = ["--selector", "app.kubernetes.io/instance=placed"]
            path = "jsonpath={.items[*].spec.nodeName}"
            return kubectl("--namespace", NAMESPACE, "get", "pods", *selector, "--output", path).split()

        eventually(lambda: nodes() == [GPU_NODE] * 2, seconds=60)
    finally:
        kubectl("--namespace", NAMESPACE, "delete", "mcqsolver", "placed", "--ignore-not-found")
        kubectl("delete", "node", GPU_NODE, "--ignore-not-found")
