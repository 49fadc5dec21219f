"""Docker Compose reads and runs compose.yaml: a question is answered, scraped and traced."""

import json
import os
import re
import string
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import compose
from hack.ask import QUESTION, ask
from hack.control_plane.instance import free_ports
from hack.images import engine
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools
from tests.support.boards import expressions, numbers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "monitoring/compose"
PORTS = ("API", "PROMETHEUS", "ALERTMANAGER", "JAEGER")
"""Package indexes don't have Grafana, so it does not run here."""


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """Return compose.yaml as Docker Compose reads it, with .env.example as .env."""
    engine.ensure_compose(Progress(quiet=True))
    command = ["docker", "compose", "--env-file=.env.example", "--profile=grafana", "config"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(yaml.safe_load(done.stdout))


def test_env_example_has_the_defaults(config: dict[str, Any]) -> None:
    text = (ROOT / "compose.yaml").read_text()
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert example == defaults


@pytest.mark.parametrize("name", ["api", "prometheus", "alertmanager", "jaeger", "grafana"])
def test_a_service_has_limits_a_health_check_and_loopback_ports(config: dict[str, Any], name: str) -> None:
    service = config["services"][name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert {port["host_ip"] for port in service["ports"]} == {"127.0.0.1"}


def test_images_equal_the_clusters(config: dict[str, Any]) -> None:
    pinned = yaml.safe_load((ROOT / "monitoring/stack/kustomization.yaml").read_text())["images"]
    # Compose's Grafana gets its dashboards as files. A digest would prevent local builds.
    named = {
        f"{image['newName']}:{image['newTag'].partition('@')[0]}"
        for image in pinned
        if image["name"] != "k8s-sidecar"
    }
    assert {each["image"] for name, each in config["services"].items() if name != "api"} == named


def test_the_programs_accept_their_configuration(tools: Tools) -> None:
    tools.build(["jaeger"])
    jaeger = [str(tools.binary("jaeger")), "validate", f"--config={ROOT}/monitoring/stack/jaeger-config.yaml"]
    subprocess.run(jaeger, check=True, capture_output=True, env={**os.environ, "JAEGER_STORAGE": "/tmp/x"})
    subprocess.run(
        [tools.binary("prometheus", "promtool"), "check", "config", COMPOSE / "prometheus.yaml"],
        check=True,
        capture_output=True,
    )


def test_grafanas_files_name_existing_services_and_dashboards(config: dict[str, Any]) -> None:
    """Each file that Grafana mounts exists, and so do the services and dashboards that the files name."""
    grafana = config["services"]["grafana"]
    for volume in grafana["volumes"]:
        assert volume["source"] in config["volumes"] or Path(volume["source"]).exists()
    sources = string.Template((ROOT / "monitoring/stack/grafana-datasources.yaml").read_text())
    for source in yaml.safe_load(sources.substitute(grafana["environment"]))["datasources"]:
        assert urllib.parse.urlsplit(source["url"]).hostname == source["uid"]
        assert source["uid"] in config["services"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (COMPOSE / "dashboards" / Path(home).name).exists()


def test_grafana_is_read_only_without_a_login(config: dict[str, Any]) -> None:
    """Grafana runs only on request, and only this machine can reach it."""
    grafana = config["services"]["grafana"]
    assert grafana["profiles"] == ["grafana"]
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert grafana["environment"]["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, str]]:
    """Yield the URLs of all services but Grafana, healthy and with empty volumes."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("COMPOSE_PROJECT_NAME", "mcq-compose-test")
        urls = {}
        for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True):
            environment.setenv(f"MCQ_{name}_PORT", str(port))
            urls[name.lower()] = f"http://127.0.0.1:{port}"
        try:
            compose.up(Progress())
            yield urls
        finally:
            compose.compose("logs", "--tail=20")
            compose.compose("down", "--volumes")


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)


def query(services: dict[str, str], expression: str) -> list[dict[str, Any]]:
    path = urllib.parse.urlencode({"query": expression})
    return numbers(get(f"{services['prometheus']}/api/v1/query?{path}"))


def test_a_question_is_answered_scraped_and_traced(services: dict[str, str]) -> None:
    """The prepared model answers, and every panel of Grafana has data."""
    modes: list[dict[str, Any]] = [
        {"mode": "answer"}, {"mode": "explain", "max_reasoning_tokens": 8},
        {"mode": "reason", "max_reasoning_tokens": 8}, {"mode": "answer", "min_confidence": 1},
    ]  # fmt: skip
    assert services["api"] == f"http://{compose.api_address()}"
    answers = [ask(services["api"], {**QUESTION, **mode}) for mode in modes]
    assert answers[0]["answer"]["label"] == "B"
    time.sleep(12)  # two scrapes
    answers += [ask(services["api"], {**QUESTION, **mode}) for mode in modes]
    time.sleep(12)
    [answered] = query(services, 'sum(mcq_requests_total{namespace="compose",job="api",outcome="answered"})')
    assert answered["value"][1] == "6"
    spans = get(f"{services['jaeger']}/api/traces/{answers[0]['trace_id']}")["data"][0]["spans"]
    assert {"admit", "prefill"} <= {span["operationName"] for span in spans}
    empty = [
        f"{path.stem}: {title}: {expression}"
        for path in sorted((COMPOSE / "dashboards").glob("*.json"))
        for title, expression in expressions(json.loads(path.read_text()))
        if not query(services, expression)
    ]
    assert empty == []


def test_prometheus_reaches_alertmanager_and_has_the_rules(services: dict[str, str]) -> None:
    api = f"{services['prometheus']}/api/v1"
    active = get(f"{api}/alertmanagers")["data"]["activeAlertmanagers"]
    assert [each["url"] for each in active] == ["http://alertmanager:9093/api/v2/alerts"]
    assert get(f"{services['alertmanager']}/api/v2/status")["cluster"]["status"] == "disabled"
    groups = get(f"{api}/rules")["data"]["groups"]
    assert {group["name"] for group in groups} == {"mcqsolver.recordings", "mcqsolver.alerts"}
    targets = get(f"{api}/targets")["data"]["activeTargets"]
    assert {target["labels"]["job"]: target["health"] for target in targets} == {
        "api": "up", "prometheus": "up", "alertmanager": "up", "jaeger": "up",
    }  # fmt: skip
