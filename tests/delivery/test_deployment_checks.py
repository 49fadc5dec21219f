"""Verify accepts a good release, and only a good one."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

import pytest
from delivery import deployment_checks
from delivery.deployment_checks import Verification
from delivery.errors import VerificationError
from hack.installation import Images, Solver
from hack.kubectl import KubectlError
from hack.toolchain.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.kubectl import Kubectl

OPERATOR = "r.example.com/mcq-operator@sha256:" + "a" * 64
SERVICE = "r.example.com/mcq-service@sha256:" + "b" * 64
OTHER = "r.example.com/mcq-service@sha256:" + "c" * 64
SOLVER = Solver("team", "demo")
TRACE = "0af7651916cd43dd8448eb211c80319c"
JAEGER = {"enabled": True, "endpoint": "http://jaeger.monitoring.svc:4318"}


class Cluster:
    """Answers `kubectl get` from the objects of one namespace, by name or by label."""

    def __init__(
        self, *, image: str | None = None, pods: list[dict[str, Any]], status: dict[str, int] | None = None
    ) -> None:
        spec = {"model": {"uri": "hf://a/b"}, **({"image": image} if image else {})}
        metadata = {"name": SOLVER.name, "namespace": SOLVER.namespace}
        self.objects: dict[str, Any] = {
            SOLVER.resource: {
                "apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver", "metadata": metadata, "spec": spec,
            },
            "deployment/mcq-operator": {
                "spec": {"replicas": 2, "template": {"spec": {"containers": [{"image": OPERATOR}]}}},
                "status": status or {},
            },
        }  # fmt: skip
        self.pods = pods
        self.forwarded: dict[tuple[str, str], str] = {}
        """The addresses behind Services."""

    @contextmanager
    def forward(self, namespace: str, service: str, _: str) -> Iterator[str]:
        """Yield the address behind a Service, as kubectl's port-forward does."""
        yield self.forwarded[namespace, service]

    def __call__(self, *arguments: str, **_: Any) -> str:
        if "pods" not in arguments:
            found = self.objects.get(arguments[arguments.index("get") + 1])
            return json.dumps(found) if found else ""
        wanted = dict(pair.split("=") for pair in arguments[arguments.index("--selector") + 1].split(","))
        pods = [pod for pod in self.pods if wanted.items() <= pod["metadata"]["labels"].items()]
        return json.dumps({"items": pods})


def pod(image: str, *, name: str = "mcq-solver", phase: str = "Running", **sidecars: str) -> dict[str, Any]:
    """Return a Pod of the solver: a replica, or with another `name` label for example a backup."""
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": SOLVER.name}
    own = {"service" if name == "mcq-solver" else "backup": image}
    containers = [{"name": key, "image": value} for key, value in {**own, **sidecars}.items()]
    return {
        "metadata": {"name": f"{name}-1", "labels": labels},
        "spec": {"containers": containers},
        "status": {"phase": phase},
    }


class Replica(HTTPServer):
    """A server that answers every question, the last ones with a trace, and keeps the requests' headers."""

    def __init__(self, address: str) -> None:
        self.requests: list[dict[str, str]] = []
        self.untraced = 0
        """How many of the next questions are not sampled."""
        super().__init__((address, 0), Answering)


class Answering(BaseHTTPRequestHandler):
    """Gives one answer to all questions."""

    server: Replica

    def do_POST(self) -> None:
        self.server.requests.append(dict(self.headers.items()))
        self.server.untraced -= 1
        answer = {
            "answer": {"label": "B", "text": "Service"},
            "probabilities": [{"probability": 0.9}],
            "trace_id": None if self.server.untraced >= 0 else TRACE,
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def replica(address: str = "127.0.0.1") -> Iterator[Replica]:
    """Yield a server that answers during the block."""
    with Replica(address) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def verification(cluster: Cluster, *, patience: float = 0) -> Verification:
    return Verification(cast("Kubectl", cluster), Images(OPERATOR, SERVICE), [SOLVER], None, None, patience)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(pod(OPERATOR, name="mcq-backup"), id="a backup"),
        pytest.param(pod(OTHER, phase="Failed"), id="an evicted replica of the last release"),
        pytest.param(pod(SERVICE, proxy="mesh/proxy:1"), id="a replica with a mesh's proxy"),
        pytest.param(pod(SERVICE.replace("r.example.com", "mirror.example.com")), id="a replica by a mirror"),
    ],
)
def test_only_the_service_of_replicas_must_run_the_delivered_image(other: dict[str, Any]) -> None:
    assert SERVICE in verification(Cluster(pods=[pod(SERVICE), other])).pods(SOLVER)


@pytest.mark.parametrize(
    "pods", [[pod(OTHER)], [pod(SERVICE), pod(OTHER)], [], [pod(OPERATOR, name="mcq-backup")]]
)
def test_replicas_of_another_image_or_none_fail(pods: list[dict[str, Any]]) -> None:
    with pytest.raises(VerificationError, match=f"not {SERVICE}"):
        verification(Cluster(pods=pods)).pods(SOLVER)


def test_a_solver_whose_image_is_a_tag_must_run_that_tag() -> None:
    tagged = "r.example.com/own:1"
    assert tagged in verification(Cluster(image=tagged, pods=[pod(tagged)])).pods(SOLVER)
    for another in ("r.example.com/own:2", SERVICE):
        with pytest.raises(VerificationError, match=f"runs {another}, not {tagged}"):
            verification(Cluster(image=tagged, pods=[pod(another)])).pods(SOLVER)


def test_replicas_of_an_older_operator_do_not_count() -> None:
    during = {"replicas": 3, "updatedReplicas": 1, "availableReplicas": 2}
    with pytest.raises(VerificationError, match="1 of 2 replicas are updated and available"):
        verification(Cluster(pods=[], status=during)).operator()
    assert verification(Cluster(pods=[], status={"updatedReplicas": 2, "availableReplicas": 2})).operator()


@pytest.mark.parametrize(
    ("labels", "blocks"),
    [
        ({"alertname": "MCQOperatorDown", "namespace": "mcq-operator-system"}, True),
        ({"alertname": "MCQOperatorDown", "namespace": "another-release"}, False),
        ({"alertname": "MCQSolverNoReadyReplica", "namespace": "team", "mcqsolver": "demo"}, True),
        ({"alertname": "MCQSolverNoReadyReplica", "namespace": "others", "mcqsolver": "demo"}, False),
        ({"alertname": "MCQSolverNoReadyReplica", "namespace": "team", "mcqsolver": "old"}, False),
        ({"alertname": "DatabaseDown", "namespace": "others"}, False),
    ],
)
def test_only_alerts_about_the_delivery_block_it(
    monkeypatch: pytest.MonkeyPatch, labels: dict[str, str], *, blocks: bool
) -> None:
    alert = {"labels": labels, "annotations": {"summary": "It is down"}, "startsAt": "2026-12-01T12:00:00.5Z"}
    monkeypatch.setattr(Verification, "_page", lambda *_, **__: [alert])
    check = verification(Cluster(pods=[]))
    if not blocks:
        assert check.alerts() == "none"
        return
    with pytest.raises(VerificationError, match=f"{labels['alertname']}: It is down"):
        check.alerts()


def test_only_alerts_that_fire_since_the_install_and_go_on_block_it(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"alertname": "MCQSolverNoReadyReplica", "namespace": "team", "mcqsolver": "demo"}
    alert = {"labels": labels, "annotations": {}, "startsAt": "2026-12-01T12:00:00.123456789Z"}
    pages: list[list[dict[str, Any]]] = []
    monkeypatch.setattr(Verification, "_page", lambda *_, **__: pages.pop(0) if pages else [alert])
    monkeypatch.setattr(deployment_checks, "PAUSE", 0.01)
    check = verification(Cluster(pods=[]), patience=0.2)
    before, after = datetime(2026, 12, 1, 11, tzinfo=UTC), datetime(2026, 12, 1, 13, tzinfo=UTC)

    with pytest.raises(VerificationError, match="MCQSolverNoReadyReplica"):
        replace(check, since=before).alerts()
    assert replace(check, since=after).alerts() == "none"
    pages += [[alert], []]
    assert replace(check, since=before).alerts() == "none"


def test_a_check_that_gets_no_answer_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_answer(*_: object) -> str:
        raise KubectlError("No answer in 60 s")

    monkeypatch.setattr(Verification, "operator", no_answer)
    monkeypatch.setattr(Verification, "ready", lambda *_: "Ready")
    monkeypatch.setattr(Verification, "answer", lambda *_: "B")
    check = verification(Cluster(pods=[]))
    with pytest.raises(VerificationError, match=r"(?s)operator: No answer.*there are no pods"):
        check.run(Progress(quiet=True), monitoring=False)


def test_a_local_host_is_asked_at_the_address_of_its_ingress() -> None:
    """The sample's host is mcq.localhost: on another cluster than kind, not this machine."""
    cluster = Cluster(pods=[])
    with replica("127.0.0.2") as server:
        host = f"mcq.localhost:{server.server_port}"
        cluster.objects[SOLVER.resource]["status"] = {"url": f"http://{host}"}
        check = verification(cluster)
        with pytest.raises(VerificationError, match=f"http://{host} did not answer:"):
            check.answer(SOLVER)

        address = {"status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.2"}]}}}
        cluster.objects[f"ingress/{SOLVER.name}"] = address

        assert check.answer(SOLVER) == "B (Service), 90.0%"
        assert [request["Host"] for request in server.requests] == [host]


def test_a_solver_without_ingress_is_asked_through_a_forwarded_port() -> None:
    cluster = Cluster(pods=[])
    cluster.objects[SOLVER.resource]["status"] = {"url": "http://demo.team.svc"}
    with replica() as server:
        cluster.forwarded["team", "demo"] = f"http://127.0.0.1:{server.server_port}"
        assert verification(cluster).answer(SOLVER) == "B (Service), 90.0%"


@pytest.mark.parametrize(
    ("tracing", "untraced", "summary"),
    [
        (JAEGER, 0, f"trace {TRACE} with 2 kinds of spans"),
        (JAEGER | {"samplingRatio": 0.5}, 2, f"trace {TRACE} with 2 kinds of spans"),
        (JAEGER | {"samplingRatio": 0.01}, 10_000, "not checked: tracing.samplingRatio, 0.01, left all questions out"),
        (JAEGER | {"samplingRatio": 0}, 0, "not checked: spec.tracing sends no traces to this Jaeger"),
        ({}, 0, "not checked: spec.tracing sends no traces to this Jaeger"),
        (
            {"enabled": True, "endpoint": "https://traces.example.com"},
            0,
            "not checked: spec.tracing sends no traces to this Jaeger",
        ),
    ],
)  # fmt: skip
def test_only_traces_that_jaeger_should_have_are_demanded(
    monkeypatch: pytest.MonkeyPatch, tracing: dict[str, Any], untraced: int, summary: str
) -> None:
    spans = {"data": [{"spans": [{"operationName": "admit"}, {"operationName": "prefill"}]}]}
    monkeypatch.setattr(Verification, "_page", lambda *_: spans)
    monkeypatch.setattr(deployment_checks, "PAUSE", 0.01)
    cluster = Cluster(pods=[])
    cluster.objects[SOLVER.resource]["spec"]["tracing"] = tracing
    with replica() as server:
        server.untraced = untraced
        cluster.forwarded["team", "demo"] = f"http://127.0.0.1:{server.server_port}"
        assert verification(cluster, patience=0.5).trace(SOLVER) == summary


@pytest.mark.parametrize(("enabled", "good"), [("Auto", False), (True, False), (False, True)])
def test_only_replicas_that_prometheus_should_scrape_are_demanded(
    monkeypatch: pytest.MonkeyPatch, *, enabled: bool | str, good: bool
) -> None:
    operator = {"health": "up", "labels": {"namespace": "mcq-operator-system", "service": "mcq-operator"}}
    monkeypatch.setattr(Verification, "_page", lambda *_, **__: {"data": {"activeTargets": [operator] * 2}})
    cluster = Cluster(pods=[])
    cluster.objects[SOLVER.resource]["spec"]["monitoring"] = {"serviceMonitor": {"enabled": enabled}}
    cluster.objects[SOLVER.resource]["status"] = {"readyReplicas": 1}
    if good:
        assert verification(cluster).targets(SOLVER) == "2 of mcq-operator"
        return
    with pytest.raises(VerificationError, match="targets up: 0 of 1 of demo"):
        verification(cluster).targets(SOLVER)
