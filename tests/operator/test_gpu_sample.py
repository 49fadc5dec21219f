"""The sample of a GPU pool, config/samples/gpu-vllm: the API server accepts it, and its parts fit together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

if TYPE_CHECKING:
    from tests.operator.conftest import Kubectl

FOLDER = Path(__file__).resolve().parents[2] / "config/samples/gpu-vllm"


@pytest.fixture
def objects(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    """The sample's objects by kind, rendered by kustomize and moved to the test's namespace."""
    rendered = [*yaml.safe_load_all(kubectl("kustomize", str(FOLDER)))]
    for each in rendered:
        each["metadata"]["namespace"] = kubectl.namespace
    return {each["kind"]: each for each in rendered}


def test_the_api_server_accepts_the_sample_and_its_restricted_pod(
    kubectl: Kubectl, objects: dict[str, dict[str, Any]]
) -> None:
    enforced = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", kubectl.namespace, enforced)
    server_side = ("apply", "--server-side", "--dry-run=server", "-f", "-")
    output = kubectl(*server_side, stdin=yaml.safe_dump_all(objects.values()))
    assert {line.partition("/")[0].partition(".")[0] for line in output.splitlines()} == {
        "service",
        "persistentvolumeclaim",
        "deployment",
        "mcqsolver",
    }
    template = objects["Deployment"]["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "vllm"}
    kubectl(*server_side, stdin=yaml.safe_dump(pod))


def test_the_solver_asks_the_service_of_the_pods_that_serve_its_model(
    objects: dict[str, dict[str, Any]],
) -> None:
    solver, service = objects["MCQSolver"]["spec"]["engine"], objects["Service"]
    template = objects["Deployment"]["spec"]["template"]
    [container] = template["spec"]["containers"]

    endpoint = urlsplit(solver["openai"]["endpoint"])
    assert endpoint.hostname == service["metadata"]["name"]
    [port] = service["spec"]["ports"]
    assert endpoint.port == port["port"]
    assert port["targetPort"] in {each["name"] for each in container["ports"]}
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert f"--served-model-name={solver['openai']['model']}" in container["args"]


def test_only_vllm_requests_a_gpu_and_its_node_pool(objects: dict[str, dict[str, Any]]) -> None:
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod["nodeSelector"]
    assert {each["key"] for each in pod["tolerations"]} == {"nvidia.com/gpu"}
    # The annotation names every local volume, so the autoscaler may evict the Pod.
    annotations = objects["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    local = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume}
    assert (
        set(annotations["cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"].split(",")) == local
    )
    assert "scheduling" not in objects["MCQSolver"]["spec"]
