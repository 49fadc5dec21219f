"""Draw all dashboards for the documentation, from a run of the product on this machine: `make pictures`.

The run takes a quarter of an hour: a control plane without nodes, the operator, the service with the real model as the
replica of a solver, an exam of twenty questions, ten minutes of questions, some changes in the cluster, and a
Prometheus with the configuration and the rules of the product. Only the node is a stand-in (node.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml

from hack import operator_rights
from hack.control_plane.control_plane import ControlPlane
from hack.control_plane.instance import Instance, free_ports
from hack.kubectl import Kubectl
from hack.pictures.load import Phase, send
from hack.pictures.node import Node
from hack.pictures.panels import read
from hack.pictures.picture import picture
from hack.pictures.prometheus import Prometheus, TimeRange
from hack.toolchain.paths import CACHE, ROOT
from hack.toolchain.processes import Part
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools, locked
from mcq_operator.api import MCQSolver, names
from mcq_operator.desired.alerts import prometheus_rule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMESPACE, NAME, OTHER = "team", "demo", "draft"
EXAM = "kubernetes"
OUT = ROOT / "docs/images"
COMPOSE = ROOT / "monitoring/compose/prometheus.yaml"
ALERTS = ROOT / "monitoring/operator/prometheusrule.yaml"
OPERATOR_BOARD = ROOT / "monitoring/operator/dashboard.json"
SAMPLE = ROOT / "config/samples/mcqexam.yaml"
SCRAPE_SECONDS = 15
"""Between Compose's interval and the stack's: a rate covers a minute."""
QUEUE = 8
"""The solver's spec.limits.maxQueuedRequests, small, so that the busiest minute reaches it."""
PHASES = (Phase(200, 1, 4), Phase(60, 12, 0.5), Phase(340, 1, 4))
SOLVER: dict[str, Any] = {
    "apiVersion": "mcq-operator.dev/v1alpha1",
    "kind": "MCQSolver",
    "metadata": {"name": NAME, "namespace": NAMESPACE},
    "spec": {
        "replicas": 1,
        "model": {"uri": "hf://Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"},
        "limits": {"maxQueuedRequests": QUEUE},
    },
}


@dataclass(frozen=True)
class Ports:
    """The loopback ports of the run."""

    api: int
    probes: int
    operator: int
    prometheus: int


@dataclass(frozen=True)
class Example:
    """The programs of a run."""

    plane: ControlPlane
    tools: Tools
    progress: Progress
    ports: Ports

    @property
    def kubectl(self) -> Kubectl:
        """kubectl as administrator."""
        return Kubectl(self.plane.kubectl(), self.plane.kubeconfig())

    @property
    def folder(self) -> Path:
        """The folder of the run's files, removed at its end."""
        return self.plane.instance.state

    def start(self) -> None:
        """Start Prometheus, the operator and the service, and wait until they are ready."""
        for part in (self._prometheus(), self._operator(), self._service()):
            self.plane.processes.ensure(part, self.progress)

    def _prometheus(self) -> Part:
        config = self.folder / "prometheus.yaml"
        config.write_text(yaml.safe_dump(self._scrapes()))
        (self.folder / "rules.yaml").write_text(yaml.safe_dump({"groups": _rules()}))
        port = self.ports.prometheus
        command: list[str | Path] = [
            self.tools.binary("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage",
        ]  # fmt: skip
        return Part("prometheus", command, partial(_answers, f"http://127.0.0.1:{port}/-/ready"))

    def _scrapes(self) -> dict[str, Any]:
        """Return Compose's configuration with this run's targets, and with the operator."""
        config: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
        service = next(each for each in config["scrape_configs"] if each["job_name"] == "api")
        [target] = service["static_configs"]
        target["targets"] = [f"127.0.0.1:{self.ports.probes}"]
        target["labels"] |= {"namespace": NAMESPACE, "pod": f"{NAME}-0"}
        operator = {
            "job_name": "mcq-operator",
            "honor_labels": True,
            "static_configs": [
                {"targets": [f"127.0.0.1:{self.ports.operator}"], "labels": {"pod": "mcq-operator-0"}}
            ],
        }
        del config["alerting"]  # the run has no Alertmanager
        config["global"]["scrape_interval"] = f"{SCRAPE_SECONDS}s"
        return {**config, "scrape_configs": [{**service, "job_name": NAME}, operator]}

    def _operator(self) -> Part:
        kubeconfig = operator_rights.kubeconfig(self.kubectl, self.folder / "operator.kubeconfig")
        environment = {
            "KUBECONFIG": str(kubeconfig),
            "MCQ_OPERATOR_HOST": "127.0.0.1",
            "MCQ_OPERATOR_PORT": str(self.ports.operator),
            "MCQ_OPERATOR_CANARY_URL": f"http://127.0.0.1:{self.ports.probes}",
        }
        ready = partial(_answers, f"http://127.0.0.1:{self.ports.operator}/readyz")
        return Part("operator", [sys.executable, "-m", "mcq_operator"], ready, env=environment)

    def _service(self) -> Part:
        environment = {
            "MCQ_HOST": "127.0.0.1",
            "MCQ_PORT": str(self.ports.api),
            "MCQ_PROBE_PORT": str(self.ports.probes),
            "MCQ_MODEL_URI": SOLVER["spec"]["model"]["uri"],
            "MCQ_MODEL_CACHE": str(CACHE / "models"),
            "MCQ_MAX_QUEUED_REQUESTS": str(QUEUE),
        }
        ready = partial(_answers, f"http://127.0.0.1:{self.ports.probes}/readyz")
        command = [sys.executable, "-m", "mcq_service"]
        return Part("service", command, ready, env=environment, timeout=600)

    def apply(self, manifest: dict[str, Any]) -> None:
        """Apply a manifest."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def dashboards(self) -> dict[str, dict[str, Any]]:
        """Return the operator's dashboard, and the solver's from its ConfigMap, by the picture's name."""
        solver = MCQSolver.model_validate(SOLVER)
        found = json.loads(
            self.kubectl("get", "configmap", names.dashboards_name(solver), "-n", NAMESPACE, "-o", "json")
        )
        prefix = f"{NAMESPACE}-{NAME}-"
        boards = {
            name.removeprefix(prefix).removesuffix(".json"): json.loads(text)
            for name, text in found["data"].items()
        }
        return {**boards, "operator": json.loads(OPERATOR_BOARD.read_text())}


@contextmanager
def running(progress: Progress) -> Iterator[Example]:
    """Yield the programs, with the CRDs and the operator's rights; always remove all at the end."""
    tools = Tools(CACHE, progress)
    tools.build(["prometheus"])
    plane = ControlPlane(Instance("pictures"), progress)
    with locked(CACHE / "pictures.lock"):
        try:
            plane.up()
            example = Example(plane, tools, progress, Ports(*free_ports(4)))
            operator_rights.install(example.kubectl)
            example.kubectl("create", "namespace", NAMESPACE)
            example.start()
            yield example
        finally:
            plane.down()


def main() -> None:
    """Run the product, and draw the dashboards into docs/images."""
    progress = Progress()
    subprocess.run([ROOT / "hack/model"], check=True, stdout=subprocess.DEVNULL)
    with running(progress) as example:
        started = time.time()
        questions = _sample(example)
        example.apply(SOLVER)
        api = f"http://127.0.0.1:{example.ports.api}"
        node = Node(example.kubectl, NAMESPACE, api, example.folder / "node")
        node.report_ready(f"{names.INSTANCE_LABEL}={NAME}")
        changes = threading.Thread(target=_change, args=(example, node))
        changes.start()
        with progress.step("questions"):
            outcomes = send(api, questions, PHASES)
        changes.join()
        progress.say(f"  {dict(outcomes)}")
        times = TimeRange.until(time.time(), seconds=time.time() - started, scrape_seconds=SCRAPE_SECONDS)
        prometheus = Prometheus(f"http://127.0.0.1:{example.ports.prometheus}")
        for name, board in example.dashboards().items():
            path = OUT / f"dashboard-{name}.png"
            dashboard = read(board, rate_interval=times.rate_interval, variables={})
            picture(dashboard, prometheus, times).save(path)
            print(path.relative_to(ROOT))


def _sample(example: Example) -> list[dict[str, Any]]:
    """Apply the sample exam and its questions to the solver; return the questions."""
    exam, config_map = yaml.safe_load_all(SAMPLE.read_text())
    for each in (config_map, exam):
        each["metadata"]["namespace"] = NAMESPACE
        example.apply(each)
    [text] = config_map["data"].values()
    return [json.loads(line) for line in text.splitlines()]


def _change(example: Example, node: Node) -> None:
    """Sit the exam, and change the cluster as people do, while the questions are asked."""
    node.run_exam(f"{names.INSTANCE_LABEL}={EXAM}")
    time.sleep(60)
    other = {**SOLVER, "metadata": {"name": OTHER, "namespace": NAMESPACE}}
    example.apply(other)  # no Pod of it gets ready
    time.sleep(60)
    example.kubectl("delete", "service", NAME, "-n", NAMESPACE)  # the operator creates it again
    time.sleep(60)
    example.apply({**other, "spec": {**SOLVER["spec"], "replicas": 3}})
    time.sleep(60)
    example.kubectl("delete", "mcqsolver", OTHER, "-n", NAMESPACE)


def _rules() -> list[dict[str, Any]]:
    """Return the groups of the solver's rules and of the operator's alerts."""
    spec = {**SOLVER["spec"], "monitoring": {"alerts": {"enabled": True}}}
    rule = prometheus_rule(MCQSolver.model_validate({**SOLVER, "spec": spec}))
    assert rule is not None
    groups: list[dict[str, Any]] = [
        *rule["spec"]["groups"], *yaml.safe_load(ALERTS.read_text())["spec"]["groups"]
    ]  # fmt: skip
    return groups


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as response:
        return bool(response.status == 200)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
