"""The real programs read the stack's manifests and configuration."""

import re
import string
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.images import programs
from hack.toolchain.tools import Tools
from tests.operator.support import solver

from mcq_operator.api.telemetry import Dashboards
from mcq_operator.desired.alerts import prometheus_rule

MONITORING = Path(__file__).resolve().parents[2] / "monitoring"
MODULES = MONITORING.parent / "hack/toolchain/modules"
STACK = MONITORING / "stack"
ROUTES = STACK / "alertmanager-routes.yaml"

# A release of Jaeger has two versions, one for the Go module and one for the image ("v1.76.0 / v2.13.0").
IMAGE_OF = {"1.76.0": "2.13.0"}


def run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def pinned(name: str) -> list[dict[str, str]]:
    """Return the images that a kustomization pins."""
    images: list[dict[str, str]] = yaml.safe_load((MONITORING / name / "kustomization.yaml").read_text())[
        "images"
    ]
    return images


def tag_of(image: dict[str, str]) -> str:
    """Return the tag of a pinned image, without its digest."""
    return image["newTag"].partition("@")[0]


@pytest.fixture(scope="module")
def manifests(tools: Tools) -> list[dict[str, Any]]:
    """Return the objects of `kubectl apply -k monitoring`."""
    return [*yaml.safe_load_all(run(tools.binary("kubernetes", "kubectl"), "kustomize", MONITORING))]


def manifest_of(manifests: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Return the manifest of this kind and name."""
    [match] = [each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return match


@pytest.fixture(scope="module")
def grafana(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return Grafana's Pod spec."""
    spec: dict[str, Any] = manifest_of(manifests, "Deployment", "grafana")["spec"]["template"]["spec"]
    return spec


def environment(pod: dict[str, Any], container: str) -> dict[str, str]:
    """Return a container's environment variables, without those from Secrets."""
    [match] = [each for each in pod["containers"] if each["name"] == container]
    return {each["name"]: each["value"] for each in match["env"] if "value" in each}


def test_the_stack_brings_its_namespace_and_no_other(manifests: list[dict[str, Any]]) -> None:
    """The operator's objects are in the operator's namespace, which its installation creates."""
    created = {each["metadata"]["name"] for each in manifests if each["kind"] == "Namespace"}
    used = {each["metadata"].get("namespace") for each in manifests} - {None}
    assert created == {"monitoring"}
    assert used == {"monitoring", "mcq-operator-system"}


def test_alertmanager_accepts_its_configuration(tools: Tools) -> None:
    run(tools.binary("alertmanager", "amtool"), "check-config", ROUTES)


@pytest.mark.parametrize("alert", ["MCQSolverNoReadyReplica", "Watchdog"])
def test_alerts_go_to_the_webhook_of_a_secret_that_may_come_later(
    tools: Tools, manifests: list[dict[str, Any]], alert: str
) -> None:
    routes = ("config", "routes", "test", f"--config.file={ROUTES}", f"alertname={alert}")
    receiver = run(tools.binary("alertmanager", "amtool"), *routes).strip()
    configuration = {each["name"]: each for each in yaml.safe_load(ROUTES.read_text())["receivers"]}
    [webhook] = configuration[receiver]["webhook_configs"]
    spec = manifest_of(manifests, "Alertmanager", "mcq")["spec"]
    [mount] = spec["volumeMounts"]
    assert webhook["url_file"] == f"{mount['mountPath']}/url"
    secret = {"secretName": "alertmanager-webhook", "optional": True}
    assert spec["volumes"] == [{"name": mount["name"], "secret": secret}]


def test_prometheus_scrapes_every_program_of_the_stack(manifests: list[dict[str, Any]]) -> None:
    """The policies let Prometheus in, and the scraped ports exist."""
    monitors = {
        each["metadata"]["name"]: each["spec"]["endpoints"][0]["port"]
        for each in manifests
        if each["kind"] == "ServiceMonitor" and each["metadata"]["namespace"] == "monitoring"
    }
    # prometheus-operator's own port, and that of the Services that it creates.
    ports = {"prometheus": "web", "alertmanager": "web", "prometheus-operator": "http"}
    for name in ("jaeger", "grafana"):
        named = {port["name"] for port in manifest_of(manifests, "Service", name)["spec"]["ports"]}
        ports[name] = monitors[name] if monitors[name] in named else ""
    assert monitors == ports
    policies = [each for each in manifests if each["kind"] == "NetworkPolicy"]
    assert {each["metadata"]["name"] for each in policies} == monitors.keys() - {"prometheus-operator"}
    for policy in policies:
        peers = [peer for rule in policy["spec"]["ingress"] for peer in rule["from"]]
        assert {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}} in peers


def test_every_version_is_pinned_in_one_place(manifests: list[dict[str, Any]]) -> None:
    """The kustomization pins the version that the resources are written for."""
    tags = {image["newName"]: tag_of(image) for image in pinned("stack")}
    named = [each for each in manifests if "image" in each.get("spec", {})]
    assert {each["kind"] for each in named} == {"Prometheus", "Alertmanager"}
    for each in named:
        name, _, tag = each["spec"]["image"].partition("@")[0].partition(":")
        assert tags[name] == tag == each["spec"]["version"]
    for program in ("alertmanager", "jaeger"):
        [tag] = [tag for name, tag in tags.items() if name.endswith(f"/{program}")]
        built = re.search(rf"/{program} v(\S+)", (MODULES / program / "go.mod").read_text())
        assert built is not None
        assert IMAGE_OF.get(built[1], built[1]) == tag.removeprefix("v")
    for reference in (programs.PROMETHEUS, programs.ALERTMANAGER, programs.JAEGER):
        name, _, tag = reference.rpartition(":")
        assert tags[name] == tag
    [adapter] = pinned("prometheus-adapter")
    pins = (MODULES / "prometheus-adapter/go.mod").read_text()
    assert f"sigs.k8s.io/prometheus-adapter {tag_of(adapter)}" in pins
    assert programs.PROMETHEUS_ADAPTER.endswith(f":{tag_of(adapter)}")


def test_prometheus_operators_images_are_those_of_its_release() -> None:
    text = (MONITORING / "prometheus-operator/kustomization.yaml").read_text()
    [release] = re.findall(r"\?ref=(\S+)", text)
    [operator] = pinned("prometheus-operator")
    reloader = re.findall(r"/prometheus-config-reloader:(\S+)@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert [tag_of(operator), *reloader] == [release, release]


def test_images_are_pinned_by_digest() -> None:
    """Where the digest is not known yet, Renovate adds it."""
    images = [
        image for name in ("stack", "prometheus-adapter", "prometheus-operator") for image in pinned(name)
    ]
    undigested = {
        image["name"] for image in images if not re.fullmatch(r"[^@]+@sha256:[0-9a-f]{64}", image["newTag"])
    }
    assert undigested <= {"prometheus", "jaeger"}


def test_every_pod_has_limits_and_an_unprivileged_user(manifests: list[dict[str, Any]]) -> None:
    for each in manifests:
        if each["kind"] in {"Prometheus", "Alertmanager", "Deployment"}:
            spec = each["spec"]["template"]["spec"] if each["kind"] == "Deployment" else each["spec"]
            assert spec["securityContext"]["runAsNonRoot"]
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for bounded in spec.get("containers", [spec]):
                assert bounded["resources"]["limits"]["memory"]
                assert bounded["resources"]["requests"]["cpu"]


def test_each_account_has_the_least_rights(manifests: list[dict[str, Any]]) -> None:
    roles = {each["metadata"]["name"]: each for each in manifests if each["kind"] == "ClusterRole"}
    may_read = {
        name: {resource for rule in role["rules"] for resource in rule["resources"]}
        for name, role in roles.items()
    }
    assert may_read == {
        "mcq-prometheus": {"services", "endpoints", "pods", "endpointslices"},
        "mcq-grafana": {"configmaps"},
    }
    for role in roles.values():
        for rule in role["rules"]:
            assert set(rule["verbs"]) == {"get", "list", "watch"}


def test_grafanas_sidecar_selects_the_operators_label(
    grafana: dict[str, Any], manifests: list[dict[str, Any]]
) -> None:
    """The operator's own ConfigMap has the label, and solvers' ConfigMaps have it by default."""
    sidecar = environment(grafana, "dashboards")
    label = {sidecar["LABEL"]: sidecar["LABEL_VALUE"]}
    labelled = [each for each in manifests if label.items() <= each["metadata"].get("labels", {}).items()]
    assert [(each["kind"], [*each["data"]]) for each in labelled] == [("ConfigMap", ["mcq-operator.json"])]
    assert label == Dashboards().labels


def test_grafana_shows_the_files_that_its_sidecar_writes(grafana: dict[str, Any]) -> None:
    [provider] = yaml.safe_load((STACK / "grafana-dashboards.yaml").read_text())["providers"]
    path = environment(grafana, "dashboards")["FOLDER"]
    assert provider["options"]["path"] == path
    for container in grafana["containers"]:
        assert path in {
            mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "dashboards"
        }


def test_grafanas_data_sources_name_the_stacks_services(
    grafana: dict[str, Any], manifests: list[dict[str, Any]]
) -> None:
    given = environment(grafana, "grafana")
    sources = yaml.safe_load(
        string.Template((STACK / "grafana-datasources.yaml").read_text()).substitute(given)
    )["datasources"]
    # prometheus-operator creates these Services.
    services = {
        "Prometheus": ("prometheus-operated", 9090),
        "Alertmanager": ("alertmanager-operated", 9093),
        "Jaeger": ("jaeger", 16686),
    }
    urls = {source["name"]: urllib.parse.urlsplit(source["url"]) for source in sources}
    assert {name: (url.hostname, url.port) for name, url in urls.items()} == services
    prometheus = manifest_of(manifests, "Prometheus", "mcq")
    assert sources[0]["jsonData"]["timeInterval"] == prometheus["spec"]["scrapeInterval"]


def test_grafanas_password_is_not_in_the_manifests(grafana: dict[str, Any]) -> None:
    [password] = [each for each in grafana["containers"][0]["env"] if each["name"].endswith("PASSWORD")]
    assert password["valueFrom"] == {"secretKeyRef": {"name": "grafana", "key": "password"}}


def days(duration: str) -> float:
    """Return a duration of Prometheus, such as 90m, in days."""
    return int(duration[:-1]) / {"m": 24 * 60, "h": 24, "d": 1}[duration[-1]]


def test_prometheus_keeps_the_longest_window_of_every_alert(manifests: list[dict[str, Any]]) -> None:
    """The cluster's Prometheus and Compose's; Compose has no operator, so it lacks the alerts on exams."""
    rule = prometheus_rule(solver({"monitoring": {"alerts": {"enabled": True}}}))
    cluster = manifest_of(manifests, "Prometheus", "mcq")["spec"]["retention"]
    compose = yaml.safe_load((MONITORING.parent / "compose.yaml").read_text())["services"]["prometheus"]
    [compose] = re.findall(r"retention\.time=(\w+)", " ".join(compose["command"]))
    for rules, retention in (
        (yaml.safe_dump([rule, *manifests]), cluster),
        ((MONITORING / "compose/rules.yaml").read_text(), compose),
    ):
        windows = re.findall(r"\[(\d+[mhd])\]", rules)
        assert windows
        assert max(map(days, windows)) < days(retention)


def test_all_solvers_monitors_and_rules_are_selected(manifests: list[dict[str, Any]]) -> None:
    """The selectors cover every namespace."""
    prometheus = manifest_of(manifests, "Prometheus", "mcq")
    for selector in ("serviceMonitor", "rule"):
        assert prometheus["spec"][f"{selector}Selector"] == {}
        assert prometheus["spec"][f"{selector}NamespaceSelector"] == {}
