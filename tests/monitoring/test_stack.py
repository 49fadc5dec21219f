"""The stack's manifests and configuration, as the real programs read them."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.cluster.tools import Tools

MONITORING = Path(__file__).resolve().parents[2] / "monitoring"
MODULES = MONITORING.parent / "hack/cluster/tools"
ROUTES = MONITORING / "stack/alertmanager-routes.yaml"


def run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def manifests(tools: Tools) -> list[dict[str, Any]]:
    """What `kubectl apply -k monitoring` applies."""
    return [*yaml.safe_load_all(run(tools.binary("kubernetes", "kubectl"), "kustomize", MONITORING))]


def test_alertmanager_takes_its_configuration(tools: Tools) -> None:
    run(tools.binary("alertmanager", "amtool"), "check-config", ROUTES)


def test_every_version_is_pinned_in_one_place(manifests: list[dict[str, Any]]) -> None:
    """What the resources are made for is the image that the kustomization pins."""
    pinned = yaml.safe_load((MONITORING / "stack/kustomization.yaml").read_text())["images"]
    tags = {image["newName"]: image["newTag"] for image in pinned}
    named = [each for each in manifests if "image" in each.get("spec", {})]
    assert {each["kind"] for each in named} == {"Prometheus", "Alertmanager"}
    for each in named:
        name, _, tag = each["spec"]["image"].partition(":")
        assert tags[name] == tag == each["spec"]["version"]
    for program in ("alertmanager", "jaeger"):
        [tag] = [tag for name, tag in tags.items() if name.endswith(f"/{program}")]
        built = re.search(rf"/{program} v(\S+)", (MODULES / program / "go.mod").read_text())
        assert built is not None
        assert built[1] == tag.removeprefix("v")


def test_every_pod_is_bounded_and_runs_as_nobody(manifests: list[dict[str, Any]]) -> None:
    for each in manifests:
        if each["kind"] in {"Prometheus", "Alertmanager", "Deployment"}:
            spec = each["spec"]["template"]["spec"] if each["kind"] == "Deployment" else each["spec"]
            assert spec["securityContext"]["runAsNonRoot"]
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for bounded in spec.get("containers", [spec]):
                assert bounded["resources"]["limits"]["memory"]
                assert bounded["resources"]["requests"]["cpu"]


def test_prometheus_may_read_what_it_scrapes_and_no_more(manifests: list[dict[str, Any]]) -> None:
    [role] = [each for each in manifests if each["kind"] == "ClusterRole"]
    for rule in role["rules"]:
        assert set(rule["verbs"]) == {"get", "list", "watch"}
        assert not {"secrets", "*"} & set(rule["resources"])


def test_all_solvers_monitors_and_rules_are_found(manifests: list[dict[str, Any]]) -> None:
    """In whatever namespace."""
    [prometheus] = [each for each in manifests if each["kind"] == "Prometheus"]
    for selector in ("serviceMonitor", "rule"):
        assert prometheus["spec"][f"{selector}Selector"] == {}
        assert prometheus["spec"][f"{selector}NamespaceSelector"] == {}
