"""The installation: the API server accepts the overlays and the installer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from delivery.installer import installer
from delivery.settings import Settings
from hack.cluster import crds
from hack.installation import Images
from hack.kubectl import Kubectl as Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.operator.conftest import Kubectl

ROOT = Path(__file__).resolve().parents[2]
IMAGES = Images(
    f"registry.example.com/mcq-operator@sha256:{'1' * 64}",
    f"registry.example.com/mcq-service@sha256:{'2' * 64}",
)
NAMESPACE = "mcq-operator-system"

pytestmark = pytest.mark.xdist_group("apart")


@pytest.fixture(scope="session")
def cluster_kubectl(apart_kubectl: Kubectl) -> Kubectl:
    """Use the second API server: no other test uses the operator's namespace there."""
    return apart_kubectl


def rendered(kubectl: Kubectl, environment: str) -> list[dict[str, Any]]:
    """Return the installer's objects for an environment."""
    overlay = Settings({"ENVIRONMENT": environment}).overlay
    return [*yaml.safe_load_all(installer(Delivery(kubectl.program, kubectl.kubeconfig), IMAGES, overlay))]


def one(objects: list[dict[str, Any]], kind: str, name: str = "mcq-operator") -> dict[str, Any]:
    """Return the only object of a kind and name."""
    [match] = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return match


@pytest.fixture(params=["", "dev", "production", "openshift"])
def objects(cluster_kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """The installer's objects, applied; all but the CRDs are deleted afterwards."""
    actual = rendered(cluster_kubectl, request.param)
    cluster_kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(actual))
    yield actual
    rest = [each for each in actual if each["kind"] != "CustomResourceDefinition"]
    cluster_kubectl("delete", "-f", "-", stdin=yaml.safe_dump_all(rest))


def test_the_api_server_accepts_the_installer_in_one_go(
    cluster_kubectl: Kubectl, objects: list[dict[str, Any]]
) -> None:
    deployment = cluster_kubectl("-n", NAMESPACE, "get", "deployment/mcq-operator", "-o", "yaml")
    [container] = yaml.safe_load(deployment)["spec"]["template"]["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert container["image"] == IMAGES.operator
    assert environment["MCQ_OPERATOR_SERVICE_IMAGE"] == IMAGES.service
    assert environment["MCQ_OPERATOR_IMAGE"] == IMAGES.operator
    assert [each["kind"] for each in objects[:2]] == ["Namespace", "CustomResourceDefinition"]


def test_dev_has_one_verbose_operator_and_production_two_in_different_zones(cluster_kubectl: Kubectl) -> None:
    dev, production = rendered(cluster_kubectl, "dev"), rendered(cluster_kubectl, "production")

    spec = one(dev, "Deployment")["spec"]
    assert spec["replicas"] == 1
    assert {"name": "MCQ_OPERATOR_LOG_LEVEL", "value": "DEBUG"} in spec["template"]["spec"]["containers"][0][
        "env"
    ]
    spec = one(production, "Deployment")["spec"]
    assert spec["replicas"] == 2
    [spread] = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spread["topologyKey"] == "topology.kubernetes.io/zone"
    budget = one(production, "PodDisruptionBudget")["spec"]
    assert budget["minAvailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert one(production, "NetworkPolicy")["spec"]["policyTypes"] == ["Ingress"]


def test_on_openshift_the_operator_leaves_its_user_to_the_namespace(cluster_kubectl: Kubectl) -> None:
    spec = one(rendered(cluster_kubectl, "openshift"), "Deployment")["spec"]["template"]["spec"]
    context = spec["securityContext"]
    assert {"runAsUser", "runAsGroup", "fsGroup"}.isdisjoint(context)
    assert (context["runAsNonRoot"], context["seccompProfile"]["type"]) == (True, "RuntimeDefault")


def test_the_monitoring_overlay_is_production_and_the_stack(cluster_kubectl: Kubectl) -> None:
    actual = rendered(cluster_kubectl, "monitoring")

    assert one(actual, "PodDisruptionBudget")
    assert one(actual, "Prometheus", "mcq")
    assert one(actual, "Deployment", "grafana")
    assert one(actual, "ServiceMonitor")["metadata"]["namespace"] == NAMESPACE


def test_the_api_server_accepts_the_metrics_adapter_and_its_pod(
    cluster_kubectl: Kubectl,
) -> None:
    """The stack's namespace enforces the restricted Pod Security Standard."""
    cluster_kubectl("apply", "--server-side", "-k", str(ROOT / "monitoring/namespace"))
    rendered = cluster_kubectl("kustomize", str(ROOT / "monitoring/prometheus-adapter"))
    server_side = ("apply", "--server-side", "--dry-run=server", "-f", "-")
    cluster_kubectl(*server_side, stdin=rendered)
    actual = [*yaml.safe_load_all(rendered)]
    template = one(actual, "Deployment", "prometheus-adapter")["spec"]["template"]
    account = one(actual, "ServiceAccount", "prometheus-adapter")
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "prometheus-adapter", "namespace": "monitoring"}
    cluster_kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(account))
    cluster_kubectl(*server_side, stdin=yaml.safe_dump(pod))
    cluster_kubectl("delete", "namespace", "monitoring", "--wait=false")


@pytest.fixture
def other_prometheus_operator(cluster_kubectl: Kubectl) -> Iterator[None]:
    """The CRDs of another installation, by Helm, and a Prometheus of that one; deleted afterwards."""
    paths = crds.files(crds.PROMETHEUS_OPERATOR)
    for path in paths:
        cluster_kubectl("apply", "--server-side", "--field-manager=helm", "-f", str(path))
    # A file is named GROUP_PLURAL.yaml.
    names = [".".join(reversed(path.stem.split("_"))) for path in paths]
    cluster_kubectl("wait", "--for=condition=Established", "crd", *names, "--timeout=60s")
    prometheus = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": "company", "namespace": "default"},
        "spec": {"replicas": 2},
    }
    cluster_kubectl(
        "apply", "--server-side", "--field-manager=helm", "-f", "-", stdin=yaml.safe_dump(prometheus)
    )
    yield
    cluster_kubectl("delete", "crd", *names, "--timeout=60s")


@pytest.mark.usefixtures("other_prometheus_operator")
@pytest.mark.parametrize("objects", [""], indirect=True)
def test_the_monitoring_stack_is_applied_beside_another_prometheus_operator(
    cluster_kubectl: Kubectl, objects: list[dict[str, Any]]
) -> None:
    """It creates its own namespace, and leaves the CRDs and the other's objects alone."""
    command = ("apply", "--server-side", "-k", str(ROOT / "monitoring"))
    cluster_kubectl(*command)
    cluster_kubectl(*command)
    assert cluster_kubectl(
        "-n", "monitoring", "get", "prometheus/mcq", "alertmanager/mcq", "-o", "name"
    ).split()
    assert "mcq-operator" in cluster_kubectl(
        "-n", NAMESPACE, "get", "servicemonitors,prometheusrules", "-o", "name"
    )
    managers = cluster_kubectl(
        "get", "crd/prometheuses.monitoring.coreos.com", "-o", "jsonpath={.metadata.managedFields[*].manager}",
        "--show-managed-fields",
    )  # fmt: skip
    assert set(managers.split()) == {"helm", "kube-apiserver"}
    company = cluster_kubectl("-n", "default", "get", "prometheus/company", "-o", "jsonpath={.spec.replicas}")
    assert company == "2"
    cluster_kubectl("delete", "-k", str(ROOT / "monitoring"), "--wait=false")
