"""The Helm chart renders the objects of kustomize by default, and its values change them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from delivery.chart import SOURCE, write_chart
from hack.installation import NAMESPACE, Images
from hack.kubectl import Kubectl
from hack.toolchain.paths import CACHE, ROOT
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = Images(
    f"registry.example.com/mcq-operator@sha256:{'1' * 64}",
    f"registry.example.com/mcq-service@sha256:{'2' * 64}",
    f"registry.example.com/mcq-service-torch@sha256:{'3' * 64}",
)


@pytest.fixture(scope="module")
def tools() -> Tools:
    """Return helm and kubectl."""
    tools = Tools(CACHE, Progress())
    tools.build(["helm", "kubernetes"])
    return tools


@pytest.fixture(scope="module")
def kubectl(tools: Tools) -> Kubectl:
    """Return a kubectl for commands that need no cluster."""
    return Kubectl(tools.binary("kubernetes", "kubectl"), ROOT / "no-kubeconfig")


def by_name(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the manifests by kind and name."""
    manifests = [each for each in yaml.safe_load_all(text) if each]
    named = {(each["kind"], each["metadata"]["name"]): each for each in manifests}
    assert len(named) == len(manifests)
    return named


def rendered(
    tools: Tools, chart: Path, *options: str, namespace: str = NAMESPACE
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects that Helm renders."""
    # Helm built from its module assumes an old Kubernetes version.
    where = ("--namespace", namespace, "--kube-version", "v1.34.4", "--include-crds")
    command: list[str | Path] = [tools.binary("helm"), "template", "mcq-operator", chart, *where, *options]
    return by_name(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_the_default_chart_equals_the_kustomization(tools: Tools, kubectl: Kubectl) -> None:
    expected = by_name(kubectl("kustomize", str(ROOT / "config/default")))
    del expected["Namespace", NAMESPACE]  # --create-namespace creates it

    assert rendered(tools, SOURCE) == expected


def test_helms_linter_accepts_the_chart(tools: Tools, tmp_path: Path) -> None:
    command: list[str | Path] = [
        tools.binary("helm"),
        "lint",
        "--strict",
        write_chart(IMAGES, tmp_path / "mcq-operator"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout


def test_values_and_namespace_reach_the_operator(tools: Tools, tmp_path: Path) -> None:
    chart = write_chart(IMAGES, tmp_path / "mcq-operator")
    values = [
        "operator.replicas=1",
        "operator.nodeSelector.pool=cpu",
        "operator.imagePullSecrets[0].name=door",
    ]
    objects = rendered(
        tools, chart, *(word for value in values for word in ("--set", value)), namespace="elsewhere"
    )

    deployment = objects["Deployment", "mcq-operator"]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert deployment["spec"]["replicas"] == 1
    assert pod["nodeSelector"] == {"pool": "cpu"}
    assert pod["imagePullSecrets"] == [{"name": "door"}]
    assert "tolerations" not in pod
    assert container["image"] == IMAGES.operator
    assert environment["MCQ_OPERATOR_SERVICE_IMAGE"] == IMAGES.service
    assert environment["MCQ_OPERATOR_SERVICE_TORCH_IMAGE"] == IMAGES.service_torch
    assert environment["MCQ_OPERATOR_IMAGE"] == IMAGES.operator
    assert environment["MCQ_OPERATOR_LEASE"] == "elsewhere/mcq-operator"
    assert objects["ClusterRoleBinding", "mcq-operator"]["subjects"][0]["namespace"] == "elsewhere"
    assert NAMESPACE not in str(objects)


@pytest.mark.parametrize(
    ("value", "message"),
    [("operator.replica=2", "replica"), ("operator.replicas=0", "replicas"), ("service.image=", "image")],
)
def test_an_invalid_value_is_refused(tools: Tools, value: str, message: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        rendered(tools, SOURCE, "--set", value)
    assert message in refused.value.stderr
