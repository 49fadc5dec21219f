"""compose.yaml, by the real docker-compose; its services, run as it says; a question asked, scraped and traced."""

import json
import os
import re
import shutil
import string
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.ask import PATH, QUESTION
from hack.cluster.progress import Progress
from hack.cluster.tools import Tools, install_programs
from tests.monitoring.boards import expressions, numbers
from tests.monitoring.containers import Image, Network, network

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "monitoring/compose"
ORDER = ("jaeger", "alertmanager", "prometheus", "api")
"""Grafana is no program of any package index, so it does not run here."""


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """What compose.yaml means, with .env.example as .env."""
    install_programs({"docker-compose": "docker-compose"}, Progress(quiet=True))
    command = ["docker-compose", "--env-file", ".env.example", "--file", "compose.yaml", "config"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(yaml.safe_load(done.stdout))


def test_what_env_example_says_is_the_default(config: dict[str, Any]) -> None:
    text = (ROOT / "compose.yaml").read_text()
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert example == defaults


@pytest.mark.parametrize("name", ["api", "prometheus", "alertmanager", "jaeger", "grafana"])
def test_a_service_is_bounded_checked_and_only_this_machines(config: dict[str, Any], name: str) -> None:
    service = config["services"][name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    for port in service["ports"]:
        assert str(port).startswith("127.0.0.1:")


def test_images_are_those_of_the_cluster(config: dict[str, Any]) -> None:
    pinned = yaml.safe_load((ROOT / "monitoring/stack/kustomization.yaml").read_text())["images"]
    # Compose's Grafana is given its dashboards as files.
    named = {f"{image['newName']}:{image['newTag']}" for image in pinned if image["name"] != "k8s-sidecar"}
    assert {each["image"] for name, each in config["services"].items() if name != "api"} == named


def test_the_programs_take_their_configuration(tools: Tools) -> None:
    jaeger = [str(tools.binary("jaeger")), "validate", f"--config={ROOT}/monitoring/stack/jaeger-config.yaml"]
    subprocess.run(jaeger, check=True, capture_output=True, env={**os.environ, "JAEGER_STORAGE": "/tmp/x"})  # noqa: S108
    subprocess.run(
        [tools.binary("prometheus", "promtool"), "check", "config", COMPOSE / "prometheus.yaml"],
        check=True,
        capture_output=True,
    )


def test_grafana_is_given_what_there_is(config: dict[str, Any]) -> None:
    """Its files are mounted, and name services and dashboards that exist."""
    grafana = config["services"]["grafana"]
    for volume in grafana["volumes"]:
        source = volume.split(":")[0]
        assert source in config["volumes"] or Path(source).exists()
    sources = string.Template((ROOT / "monitoring/stack/grafana-datasources.yaml").read_text())
    for source in yaml.safe_load(sources.substitute(grafana["environment"]))["datasources"]:
        assert urllib.parse.urlsplit(source["url"]).hostname == source["uid"]
        assert source["uid"] in config["services"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (COMPOSE / "dashboards" / Path(home).name).exists()


@pytest.fixture(scope="module")
def running(
    config: dict[str, Any], tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Network]:
    """All but Grafana, healthy, and questions asked."""
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("namespaces need root on Linux")
    install_programs({"ip": "iproute2", "wget": "wget", "unshare": "util-linux"}, Progress(quiet=True))
    folder = tmp_path_factory.mktemp("compose")
    volumes = {name: folder / "volumes" / name for name in config["volumes"]}
    for volume in volumes.values():
        volume.mkdir(parents=True)
        volume.chmod(0o777)
    printed = subprocess.run([ROOT / "hack/model"], stdout=subprocess.PIPE, text=True, check=True).stdout
    prepared = Path(printed.strip())
    shutil.copytree(prepared, volumes["model-cache"] / prepared.name)
    python = Path(sys.executable)
    needs = [ROOT, python.resolve().parents[1]]
    programs = {name: tools.directory(name) for name in ("jaeger", "alertmanager", "prometheus")}
    images = {
        name: Image([program / name], path=[program], needs=[program]) for name, program in programs.items()
    } | {"api": Image([python, "-m", "mcq_service"], path=[python.parent], needs=needs, user="65532:65532")}
    with network(folder, config["services"], images, volumes) as made:
        for name in ORDER:
            made.start(name)
        yield made


def get(running: Network, url: str) -> Any:
    return json.loads(running.run("wget", "-q", "-O", "-", url))


def ask(running: Network, **changes: Any) -> dict[str, Any]:
    body = json.dumps({**QUESTION, **changes})
    posted = [
        "--header=Content-Type: application/json",
        f"--post-data={body}",
        f"http://127.0.0.1:8000{PATH}",
    ]
    return dict(json.loads(running.run("wget", "-q", "-O", "-", *posted)))


def query(running: Network, expression: str) -> list[dict[str, Any]]:
    path = urllib.parse.urlencode({"query": expression})
    return numbers(get(running, f"http://127.0.0.1:9090/api/v1/query?{path}"))


def test_a_question_is_answered_scraped_and_traced(running: Network) -> None:
    """And every panel of the dashboards that Grafana would show has data."""
    modes: list[dict[str, Any]] = [
        {"mode": "answer"}, {"mode": "explain", "max_reasoning_tokens": 8},
        {"mode": "reason", "max_reasoning_tokens": 8}, {"mode": "answer", "min_confidence": 1},
    ]  # fmt: skip
    answers = [ask(running, **mode) for mode in modes]
    assert answers[0]["answer"]["label"] == "B"
    time.sleep(12)  # two scrapes
    answers += [ask(running, **mode) for mode in modes]
    time.sleep(12)
    [answered] = query(running, 'sum(mcq_requests_total{namespace="compose",job="api",outcome="answered"})')
    assert answered["value"][1] == "6"
    spans = get(running, f"http://127.0.0.1:16686/api/traces/{answers[0]['trace_id']}")["data"][0]["spans"]
    assert {"admit", "prefill"} <= {span["operationName"] for span in spans}
    empty = [
        f"{path.stem}: {title}: {expression}"
        for path in sorted((COMPOSE / "dashboards").glob("*.json"))
        for title, expression in expressions(json.loads(path.read_text()))
        if not query(running, expression)
    ]
    assert empty == []


def test_prometheus_reaches_alertmanager_and_has_the_rules(running: Network) -> None:
    active = get(running, "http://127.0.0.1:9090/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    assert [each["url"] for each in active] == ["http://alertmanager:9093/api/v2/alerts"]
    groups = get(running, "http://127.0.0.1:9090/api/v1/rules")["data"]["groups"]
    assert {group["name"] for group in groups} == {"mcqsolver.recordings", "mcqsolver.alerts"}
    targets = get(running, "http://127.0.0.1:9090/api/v1/targets")["data"]["activeTargets"]
    assert {target["labels"]["job"]: target["health"] for target in targets} == {
        "api": "up", "prometheus": "up", "alertmanager": "up", "jaeger": "up",
    }  # fmt: skip
