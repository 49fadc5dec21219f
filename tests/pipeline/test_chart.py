"""The Helm chart: by default what kustomize makes, and by its values something else."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hack.cluster.paths import CACHE
from hack.cluster.progress import Progress
from hack.cluster.tools import Tools
from hack.delivery.chart import write_chart
from hack.delivery.images import Images
from hack.delivery.install import NAMESPACE
from hack.delivery.settings import ROOT
from hack.kubectl import Kubectl

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = Images(
    f"registry.example.com/mcq-operator@sha256:{'1' * 64}",
    f"registry.example.com/mcq-service@sha256:{'2' * 64}",
)


@pytest.fixture(scope="module")
def tools() -> Tools:
    """helm and kubectl."""
    made = Tools(CACHE, Progress())
    made.build(["helm", "kubernetes"])
    return made


@pytest.fixture(scope="module")
def kubectl(tools: Tools) -> Kubectl:
    """For what needs no cluster."""
    return Kubectl(tools.binary("kubernetes", "kubectl"), ROOT / "no-kubeconfig")


def by_name(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Manifests by kind and name."""
    found = [each for each in yaml.safe_load_all(text) if each]
    named = {(each["kind"], each["metadata"]["name"]): each for each in found}
    assert len(named) == len(found)
    return named


def rendered(
    tools: Tools, chart: Path, *options: str, namespace: str = NAMESPACE
) -> dict[tuple[str, str], dict[str, Any]]:
    """What Helm makes of it."""
    # Built from its module, it takes Kubernetes to be of some years ago.
    where = ("--namespace", namespace, "--kube-version", "v1.34.4", "--include-crds")
    command: list[str | Path] = [tools.binary("helm"), "template", "mcq-operator", chart, *where, *options]
    return by_name(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_by_default_it_is_what_kustomize_makes(tools: Tools, kubectl: Kubectl, tmp_path: Path) -> None:
    wanted = by_name(kubectl("kustomize", str(ROOT / "config/default")))
    del wanted["Namespace", NAMESPACE]  # --create-namespace makes it

    assert rendered(tools, write_chart(kubectl, None, tmp_path / "mcq-operator")) == wanted


def test_it_is_without_a_fault_to_helms_own_linter(tools: Tools, kubectl: Kubectl, tmp_path: Path) -> None:
    command: list[str | Path] = [
        tools.binary("helm"),
        "lint",
        "--strict",
        write_chart(kubectl, IMAGES, tmp_path / "mcq-operator"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout


def test_its_values_reach_the_operator_and_its_namespace_is_the_releases(
    tools: Tools, kubectl: Kubectl, tmp_path: Path
) -> None:
    chart = write_chart(kubectl, IMAGES, tmp_path / "mcq-operator")
    values = [
        "operator.replicas=1",
        "operator.nodeSelector.pool=cpu",
        "operator.imagePullSecrets[0].name=door",
    ]
    found = rendered(
        tools, chart, *(word for value in values for word in ("--set", value)), namespace="elsewhere"
    )

    deployment = found["Deployment", "mcq-operator"]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert deployment["spec"]["replicas"] == 1
    assert pod["nodeSelector"] == {"pool": "cpu"}
    assert pod["imagePullSecrets"] == [{"name": "door"}]
    assert "tolerations" not in pod
    assert container["image"] == IMAGES.operator
    assert environment["MCQ_OPERATOR_SERVICE_IMAGE"] == IMAGES.service
    assert environment["MCQ_OPERATOR_IMAGE"] == IMAGES.operator
    assert environment["MCQ_OPERATOR_LEASE"] == "elsewhere/mcq-operator"
    assert found["ClusterRoleBinding", "mcq-operator"]["subjects"][0]["namespace"] == "elsewhere"
    assert NAMESPACE not in str(found)


@pytest.mark.parametrize(
    ("value", "told"),
    [("operator.replica=2", "replica"), ("operator.replicas=0", "replicas"), ("service.image=", "image")],
)
def test_a_value_that_means_nothing_is_refused(
    tools: Tools, kubectl: Kubectl, tmp_path: Path, value: str, told: str
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        rendered(tools, write_chart(kubectl, None, tmp_path / "mcq-operator"), "--set", value)
    assert told in refused.value.stderr
