"""`make monitoring` exposes nothing without authentication, and leaves an installed prometheus-operator alone."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import monitoring
from hack.deploy import Deployed
from hack.errors import SettingError
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools

SIDECAR = "quay.io/kiwigrid/k8s-sidecar"


class Cluster:
    """kubectl of a cluster with these Deployments; it renders what it should apply."""

    def __init__(self, program: Path, deployments: list[tuple[str, str, str]]) -> None:
        self.program = program
        self.deployments = [
            {
                "metadata": {"namespace": namespace, "name": name},
                "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
            }
            for namespace, name, image in deployments
        ]
        self.applied: dict[str, list[dict[str, Any]]] = {}

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        if arguments[0] == "apply":
            folder = Path(arguments[-1])
            self.applied[folder.name] = [] if folder.name == "prometheus-operator" else self._render(folder)
        if arguments[:2] == ("get", "deployments"):
            return json.dumps({"items": self.deployments})
        if arguments[:2] == ("get", "crd"):
            return json.dumps({"status": {"conditions": [{"type": "Established", "status": "True"}]}})
        return ""

    def _render(self, folder: Path) -> list[dict[str, Any]]:
        done = subprocess.run([self.program, "kustomize", folder], capture_output=True, text=True, check=True)
        return [*yaml.safe_load_all(done.stdout)]


@pytest.fixture
def program(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a kubectl that renders overlays, in a folder of the test."""
    monkeypatch.setattr(monitoring, "OVERLAYS", tmp_path)
    return tools.binary("kubernetes", "kubectl")


def installed(
    program: Path, *deployments: tuple[str, str, str], grafana_host: str = ""
) -> dict[str, list[dict[str, Any]]]:
    """Install the stack on a cluster with these Deployments; return the objects that were applied."""
    cluster: Any = Cluster(program, [*deployments])
    provider: Any = object()  # not kind, so the images are the public ones
    deployed = Deployed(provider, cluster)
    assert monitoring.monitoring(deployed, Progress(quiet=True), grafana_host=grafana_host)
    applied: dict[str, list[dict[str, Any]]] = cluster.applied
    return applied


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == kind}


def test_no_page_of_the_stack_has_an_ingress_or_an_open_policy(program: Path) -> None:
    objects = installed(program)["stack"]
    assert of_kind(objects, "Ingress") == {}
    policies = of_kind(objects, "NetworkPolicy")
    assert policies.keys() == {"prometheus", "alertmanager", "jaeger", "grafana"}
    for policy in policies.values():
        assert all(rule["from"] for rule in policy["ingress"])


def test_on_request_grafana_alone_has_an_ingress_at_its_host(program: Path) -> None:
    """Grafana asks for a password; the other programs don't."""
    objects = installed(program, grafana_host="grafana.example.com")["stack"]
    assert of_kind(objects, "Ingress").keys() == {"grafana"}
    [rule] = of_kind(objects, "Ingress")["grafana"]["rules"]
    assert rule["host"] == "grafana.example.com"
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "grafana", "port": {"name": "http"}}
    policies = of_kind(objects, "NetworkPolicy")
    opened = {name for name, policy in policies.items() for rule in policy["ingress"] if "from" not in rule}
    assert opened == {"grafana-ingress"}
    assert policies["grafana-ingress"]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "grafana"}
    assert policies["grafana-ingress"]["ingress"] == [{"ports": [{"port": "http"}]}]


def test_a_host_for_a_grafana_that_is_left_out_is_refused(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = tmp_path / "images.json"
    copies.write_text(json.dumps({monitoring.PROMETHEUS: "registry.example.com/prometheus@sha256:1"}))
    monkeypatch.setenv("MONITORING_IMAGES", str(copies))
    with pytest.raises(SettingError, match=r"GRAFANA_HOST=grafana\.example\.com can't be used"):
        installed(program, grafana_host="grafana.example.com")


def test_copies_of_the_images_replace_those_that_are_pinned_by_digest(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = (monitoring.PROMETHEUS, monitoring.ALERTMANAGER, monitoring.JAEGER, monitoring.GRAFANA, SIDECAR)
    copies = {name: f"registry.example.com/{name.rpartition('/')[2]}@sha256:{'1' * 64}" for name in public}
    file = tmp_path / "images.json"
    file.write_text(json.dumps(copies))
    monkeypatch.setenv("MONITORING_IMAGES", str(file))
    applied = installed(program, ("elsewhere", "x", "example.com/prometheus-operator:v0.91.0"))["stack"]
    used = {image for each in applied for image in re.findall(r"image': '([^']+)", str(each))}
    assert used == {*copies.values()}


@pytest.mark.parametrize(
    ("deployment", "installs"),
    [
        (("default", "web", "docker.io/library/nginx:1"), True),
        (("monitoring", "prometheus-operator", "quay.io/prometheus-operator/prometheus-operator:v0.90.0"), True),
        (("prometheus", "kps-operator", "quay.io/prometheus-operator/prometheus-operator:v0.93.0"), False),
        (("prometheus", "kps-operator", "registry.example.com/prometheus-operator@sha256:1"), False),
    ],
)  # fmt: skip
def test_a_prometheus_operator_of_the_cluster_is_used(
    program: Path, deployment: tuple[str, str, str], installs: bool
) -> None:
    assert ("prometheus-operator" in installed(program, deployment)) is installs
