"""The real prometheus-operator, Prometheus and Alertmanager on a node, observing real solvers."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from delivery.deployment_checks import JAEGER, PROMETHEUS, Verification
from delivery.errors import VerificationError
from hack.ask import QUESTION, ask
from hack.cluster.kind import KindCluster
from hack.deploy import seed_model
from hack.installation import MONITORED_SAMPLE, Images, wait_ready
from hack.installation import Solver as Installed
from hack.monitoring import NAMESPACE as STACK
from hack.monitoring import ensure_password, monitoring
from hack.toolchain.progress import Progress
from tests.e2e.support import eventually, restricted_namespace
from tests.support.boards import expressions, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed
    from hack.kubectl import Kubectl

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "mcq-monitoring"
NAME = "watched"
HOST = "watched.localhost"
LOST = "lost"
SLOW_PANEL = "Watch age"
REQUESTS: list[dict[str, Any]] = [
    {"mode": "answer"},
    {"mode": "answer", "debias": "rotations"},
    {"mode": "explain", "max_reasoning_tokens": 12},
    {"mode": "reason", "max_reasoning_tokens": 12},
    {"mode": "answer", "min_confidence": 1},
]
PAGES: dict[tuple[str, str], str] = {}
"""The forwarded address of each Service of the stack, while it is installed: it has no Ingress."""


def fetch(service: tuple[str, str], path: str) -> Any:
    """Return a JSON page of a Service of the stack."""
    with urllib.request.urlopen(PAGES[service] + path, timeout=30) as response:
        return json.load(response)


def query(expression: str) -> list[dict[str, Any]]:
    """Return Prometheus's answer, without series that are not numbers."""
    path = "/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    return numbers(fetch(PROMETHEUS, path))


@dataclass
class Receiver:
    """A webhook for Alertmanager that collects the alerts."""

    alerts: list[dict[str, Any]] = field(default_factory=list)

    def received(self, name: str, **labels: str) -> bool:
        expected = {"alertname": name, **labels}
        return any(expected.items() <= alert["labels"].items() for alert in self.alerts)


@pytest.fixture(scope="module")
def receiver(deployed: Deployed, stack: Kubectl) -> Iterator[Receiver]:
    """Yield a webhook on an address that pods can reach, to which Alertmanager routes every alert."""
    receiver = Receiver()
    assert isinstance(deployed.provider, KindCluster)
    address = deployed.provider.host_address()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.alerts.extend(json.loads(body)["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer((address, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        routes = yaml.safe_load((ROOT / "monitoring/stack/alertmanager-routes.yaml").read_text())
        routes["route"] |= {"receiver": "hook", "group_wait": "1s"}
        url = f"http://{address}:{server.server_address[1]}/"
        routes["receivers"].append({"name": "hook", "webhook_configs": [{"url": url}]})
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "alertmanager", "namespace": STACK},
            "stringData": {"alertmanager.yaml": yaml.safe_dump(routes)},
        }
        stack("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump(secret))
        yield receiver
        server.shutdown()


@pytest.fixture(scope="module")
def stack(deployed: Deployed) -> Iterator[Kubectl]:
    """Yield kubectl after installing the stack of `make demo MONITORING=1`."""
    if not isinstance(deployed.provider, KindCluster):
        pytest.skip("the webhook listens in the local cluster's network")
    kubectl = deployed.kubectl
    monitoring(deployed, Progress(quiet=True))
    # Scrape as often as the solver's metrics: a rate needs two scrapes.
    often = [{"op": "replace", "path": "/spec/endpoints/0/interval", "value": "2s"}]
    patch = ["--type=json", "--patch", json.dumps(often)]
    kubectl("-n", "mcq-operator-system", "patch", "servicemonitor", "mcq-operator", *patch)
    with ExitStack() as forwards:
        for service in (PROMETHEUS, JAEGER):
            PAGES[service] = forwards.enter_context(kubectl.forward(STACK, *service))
        yield kubectl
    kubectl("delete", "namespace", STACK, "--wait=false")


@pytest.fixture(scope="module")
def watched(deployed: Deployed, stack: Kubectl) -> Iterator[Kubectl]:
    """Yield kubectl with two scraped solvers of the real model; one has lost its replica for good."""
    kubectl = stack
    restricted_namespace(kubectl, NAMESPACE)
    sample = yaml.safe_load(MONITORED_SAMPLE.read_text())["spec"]
    for name in (NAME, LOST):
        seed_model(deployed.provider, NAMESPACE, f"{name}-model-cache")
        solver = {
            "apiVersion": "mcq-operator.dev/v1alpha1",
            "kind": "MCQSolver",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                **sample,
                "replicas": 1,
                "ingress": {"enabled": name == NAME, "className": "traefik", "host": HOST},
            },
        }
        kubectl("apply", "--filename", "-", stdin=yaml.safe_dump(solver))
    for name in (NAME, LOST):
        wait_ready(kubectl, Installed(NAMESPACE, name), seconds=900)
    _run_exam(kubectl)
    nodes = kubectl("get", "nodes", "-o", "name").split()
    kubectl("cordon", *nodes)
    try:
        kubectl("-n", NAMESPACE, "delete", "pod", "-l", f"app.kubernetes.io/instance={LOST}")
        yield kubectl
    finally:
        kubectl("uncordon", *nodes)
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _run_exam(kubectl: Kubectl) -> None:
    """Run an exam of the solver, so that the exam panels of its dashboards have data."""
    rows = [
        {
            "id": str(number),
            "question": f"What is {number} + 1?",
            "choices": [str(number + 1), "none"],
            "answer": 0,
        }
        for number in range(4)
    ]
    questions = {"questions.jsonl": "".join(json.dumps(row) + "\n" for row in rows)}
    metadata = {"name": "sums", "namespace": NAMESPACE}
    spec = {"solverRef": {"name": NAME}, "questions": {"configMapRef": {"name": "sums"}}}
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": questions},
        {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQExam", "metadata": metadata, "spec": spec},
    ]
    kubectl("apply", "--filename", "-", stdin=yaml.safe_dump_all(objects))
    kubectl("-n", NAMESPACE, "wait", "mcqexam/sums", "--for=condition=Complete", "--timeout=120s")


@pytest.fixture(scope="module")
def under_load(watched: Kubectl, receiver: Receiver) -> Kubectl:
    """Send a known load while Prometheus scrapes."""
    eventually(lambda: query(f'up{{job="{NAME}"}} == 1'), seconds=90, what="the replica is scraped")
    eventually(lambda: query('up{job="mcq-operator"} == 1'), seconds=90, what="the operator is scraped")
    for _ in range(3):
        for each in REQUESTS:
            ask(f"http://{HOST}:8080", {**QUESTION, **each})
    # The panels show the last minute, in which the operator may have been idle.
    watched("-n", NAMESPACE, "annotate", "--overwrite", "mcqsolver", NAME, f"test/loaded={time.time()}")
    time.sleep(11)  # two scrapes
    return watched


def boards(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    """Return the dashboards from the cluster."""
    solver_dashboards = kubectl("-n", NAMESPACE, "get", "configmap", f"{NAME}-dashboards", "-o", "json")
    operator_dashboard = kubectl(
        "-n", "mcq-operator-system", "get", "configmap", "mcq-operator-dashboard", "-o", "json"
    )
    return {
        name: json.loads(text)
        for listed in (solver_dashboards, operator_dashboard)
        for name, text in json.loads(listed)["data"].items()
    }


def test_every_panel_of_every_dashboard_has_data(under_load: Kubectl) -> None:
    empty = [
        f"{name}: {title}: {expression}"
        for name, board in boards(under_load).items()
        for title, expression in expressions(board)
        if title != SLOW_PANEL
    ]
    assert len(empty) > 40

    def all_have_data() -> bool:
        # The load was short: a panel of the last minute has data only for a minute.
        empty[:] = [each for each in empty if not query(each.split(": ", 2)[2])]
        print("without data:", *empty, sep="\n  ")
        return not empty

    eventually(all_have_data, seconds=50, what="every panel has data")


def test_panels_show_the_known_load(under_load: Kubectl) -> None:
    """The replica's counters, scraped by Prometheus, equal the number of users' questions, without the exam's."""
    mine = f'namespace="{NAMESPACE}",job="{NAME}"'
    [answered] = query(f'sum(mcq_requests_total{{{mine},outcome="answered"}})')
    [abstained] = query(f'sum(mcq_requests_total{{{mine},outcome="abstained"}})')
    assert float(answered["value"][1]) == 12
    assert float(abstained["value"][1]) == 3
    labels = query(f"mcq_queue_depth{{{mine}}}")[0]["metric"]
    assert {"namespace", "job", "pod", "service", "instance"} <= labels.keys()


def test_every_rule_is_loaded_and_every_recording_has_data(under_load: Kubectl) -> None:
    def mine() -> list[dict[str, Any]]:
        groups = fetch(PROMETHEUS, "/api/v1/rules")["data"]["groups"]
        return [rule for group in groups if f"{NAMESPACE}-{NAME}" in group["file"] for rule in group["rules"]]

    eventually(
        lambda: all(rule["health"] == "ok" for rule in mine()) and mine(),
        seconds=90,
        what="rules are evaluated",
    )
    recorded = {rule["name"] for rule in mine() if rule["type"] == "recording"}
    assert len(recorded) == 15
    # Rules that Prometheus evaluated before the load have no data.
    selector = f'{{namespace="{NAMESPACE}",mcqsolver="{NAME}"}}'
    eventually(
        lambda: all(len(query(name + selector)) == 1 for name in recorded),
        seconds=60,
        what="every recording has data",
    )
    for name in recorded:
        [series] = query(name + selector)
        assert 0 <= float(series["value"][1]) <= 1
    assert {rule["name"] for rule in mine() if rule["type"] == "alerting"} >= {
        "MCQSolverErrorBudgetBurn",
        "MCQSolverNoReadyReplica",
    }


def test_the_operators_rules_are_loaded(under_load: Kubectl) -> None:
    groups = fetch(PROMETHEUS, "/api/v1/rules")["data"]["groups"]
    [group] = [group for group in groups if group["name"] == "mcq-operator.alerts"]
    assert {rule["state"] for rule in group["rules"]} == {"inactive"}


def test_the_stack_scrapes_itself_and_its_watchdog_reaches_the_receiver(
    under_load: Kubectl, receiver: Receiver
) -> None:
    jobs = {"prometheus-operated", "alertmanager-operated", "jaeger", "prometheus-operator"}
    eventually(
        lambda: {each["metric"]["job"] for each in query(f'up{{namespace="{STACK}"}} == 1')} >= jobs,
        seconds=90,
        what="the stack's programs are scraped",
    )
    eventually(
        lambda: receiver.received("Watchdog", severity="none"), seconds=120, what="the Watchdog is sent"
    )


def test_an_exemplar_links_an_answers_trace(under_load: Kubectl) -> None:
    answer = ask(f"http://{HOST}:8080", {**QUESTION, "mode": "answer"})
    selector = f'mcq_answer_duration_seconds_bucket{{namespace="{NAMESPACE}",job="{NAME}"}}'

    def traces() -> set[str]:
        now = time.time()
        path = "/api/v1/query_exemplars?" + urllib.parse.urlencode(
            {"query": selector, "start": now - 300, "end": now}
        )
        series = fetch(PROMETHEUS, path)["data"]
        return {exemplar["labels"]["trace_id"] for each in series for exemplar in each["exemplars"]}

    eventually(lambda: answer["trace_id"] in traces(), seconds=20, what="the exemplar is there")


@dataclass(frozen=True)
class Span:
    """A span of Jaeger's API."""

    name: str
    service: str
    span_id: str
    parents: set[str]


def test_jaeger_has_the_complete_trace_of_an_answer(under_load: Kubectl) -> None:
    """The trace id of the response leads to all spans, from the Ingress through the service."""
    answer = ask(f"http://{HOST}:8080", {**QUESTION, "mode": "explain", "max_reasoning_tokens": 8})

    def spans() -> list[Span]:
        try:
            [trace] = fetch(JAEGER, f"/api/traces/{answer['trace_id']}")["data"]
        except urllib.error.HTTPError:  # not stored yet
            return []
        return [
            Span(
                span["operationName"],
                trace["processes"][span["processID"]]["serviceName"],
                span["spanID"],
                {ref["spanID"] for ref in span["references"]},
            )
            for span in trace["spans"]
        ]

    expected = {"admit", "prefill", "decode", "parse"}
    # A span is sent when it ends, so the enclosing spans of service and Ingress controller arrive last.
    eventually(
        lambda: expected <= {span.name for span in spans()} and any(not span.parents for span in spans()),
        seconds=30,
        what="the trace is there, whole",
    )
    complete = spans()
    [root] = [span for span in complete if not span.parents]
    assert root.service == "traefik"
    services = {span.span_id: span.service for span in complete}
    [served] = [span for span in complete if span.service == NAME and "/api/v1/mcq/answer" in span.name]
    assert {services[parent] for parent in served.parents} == {"traefik"}
    # A step serves several questions, so it has its own trace with links to theirs.
    batches = fetch(JAEGER, f"/api/traces?service={NAME}&operation=batch&limit=500")["data"]
    linked = {ref["traceID"] for batch in batches for span in batch["spans"] for ref in span["references"]}
    assert answer["trace_id"] in linked


def test_the_alert_of_a_solver_without_a_replica_reaches_the_receiver(
    under_load: Kubectl, receiver: Receiver
) -> None:
    """Prometheus fires the alert after two minutes and Alertmanager sends it; the other solver has none."""
    eventually(
        lambda: receiver.received(
            "MCQSolverNoReadyReplica", namespace=NAMESPACE, mcqsolver=LOST, severity="critical"
        ),
        seconds=240,
        what="the alert is sent",
    )
    assert not [alert for alert in receiver.alerts if alert["labels"].get("mcqsolver") == NAME]
    alert = next(each for each in receiver.alerts if each["labels"]["alertname"] == "MCQSolverNoReadyReplica")
    assert (ROOT / alert["annotations"]["runbook_url"]).exists()


def test_the_pipelines_verification_checks_targets_traces_and_alerts(under_load: Kubectl) -> None:
    verification = Verification(
        under_load, Images("", ""), [Installed(NAMESPACE, LOST)], f"http://{HOST}:8080", None, patience=60
    )
    solver = Installed(NAMESPACE, NAME)

    assert verification.targets(solver) == f"1 of {NAME}, 2 of mcq-operator"
    assert re.fullmatch(r"trace [0-9a-f]{32} with \d+ kinds of spans", verification.trace(solver))
    # The alert is that of the solver without a replica.
    with pytest.raises(VerificationError, match="MCQSolverNoReadyReplica"):
        verification.alerts()


def test_the_operator_shows_the_age_of_its_watches(under_load: Kubectl) -> None:
    """It checks them every five minutes."""
    board = boards(under_load)["mcq-operator.json"]
    slow = [expression for title, expression in expressions(board) if title == SLOW_PANEL]
    assert slow
    eventually(lambda: all(query(each) for each in slow), seconds=330, what=f"{SLOW_PANEL} has data")


def test_deleting_a_solver_deletes_only_its_own_monitoring(under_load: Kubectl) -> None:
    under_load("-n", NAMESPACE, "delete", "mcqsolver", NAME)
    children = [("servicemonitor", ""), ("prometheusrule", ""), ("configmap", "-dashboards")]
    eventually(
        lambda: all(_gone(under_load, kind, NAME + suffix) for kind, suffix in children),
        seconds=60,
        what="its monitoring objects are gone",
    )
    assert not any(_gone(under_load, kind, LOST + suffix) for kind, suffix in children)
    eventually(lambda: not query(f'mcq_solver_ready{{namespace="{NAMESPACE}",name="{NAME}"}}'), seconds=60)


def _gone(kubectl: Kubectl, kind: str, name: str) -> bool:
    return not kubectl("-n", NAMESPACE, "get", kind, name, "--ignore-not-found", "-o", "name").strip()


def test_grafana_is_admitted_and_keeps_its_password(stack: Kubectl) -> None:
    """The node reaches no index with Grafana's image, so only the API server validates the Deployment."""
    ensure_password(stack)
    password = stack("-n", STACK, "get", "secret", "grafana", "-o", "jsonpath={.data.password}")
    ensure_password(stack)
    assert password == stack("-n", STACK, "get", "secret", "grafana", "-o", "jsonpath={.data.password}")
    assert len(password) > 32
    manifests = [*yaml.safe_load_all(stack("kustomize", str(ROOT / "monitoring")))]
    named = {each["kind"]: each for each in manifests if each["metadata"]["name"] == "grafana"}
    template = named["Deployment"]["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        **template,
        "metadata": {**template["metadata"], "name": "grafana", "namespace": STACK},
    }
    try_out = ("apply", "--server-side", "--dry-run=server", "-f", "-")
    # Pod Security rejects Pods but only warns about Deployments.
    everything = [named["ServiceAccount"], named["Service"], named["ServiceMonitor"], named["Deployment"]]
    stack(*try_out, stdin=yaml.safe_dump_all(everything))
    stack("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(named["ServiceAccount"]))
    stack(*try_out, stdin=yaml.safe_dump(pod))
    stack("-n", STACK, "delete", "serviceaccount", "grafana")
