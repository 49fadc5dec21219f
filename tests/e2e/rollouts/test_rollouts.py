"""Roll-outs under a steady load through the Ingress lose no request.

Traefik, the node and the operator are real. nodes/ tests the loss of nodes.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hack.ask import QUESTION, ask
from hack.cluster.kind import KindCluster
from hack.images import docker
from hack.images.build import tag
from hack.kubectl import KubectlError
from tests.e2e.load import Load
from tests.e2e.steady import Steady, serving, steady_solver
from tests.e2e.support import eventually

from mcq_operator.api.rbac import NAMESPACE as OPERATOR_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hack.deploy import Deployed

NAMESPACE = "mcq-rollouts"
GATEWAY_HOST = "steady-gateway.localhost"
ENOUGH = 10_000


@pytest.fixture(scope="module")
def engine(deployed: Deployed) -> Iterator[str]:
    """Yield the URL of an engine that pods can reach."""
    if not isinstance(deployed.provider, KindCluster):
        pytest.skip("pods reach this machine on the local cluster only")
    with serving(deployed.provider.host_address()) as address:
        yield address


@pytest.fixture(scope="module")
def steady(deployed: Deployed, engine: str) -> Iterator[Steady]:
    """Yield three Ready replicas."""
    gateway = {
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "gateway"}],
        "hostnames": [GATEWAY_HOST],
    }
    solver = Steady(deployed.kubectl, NAMESPACE, "steady")
    spec = {"gateway": gateway, "rollout": {"autoRollback": True}}
    with steady_solver(deployed.kubectl, engine, solver, **spec) as ready:
        yield ready


@pytest.fixture(scope="module")
def other_image(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the service's image with another digest."""
    context: Path = tmp_path_factory.mktemp("image")
    dockerfile = context / "Dockerfile"
    dockerfile.write_text(f"FROM {tag('service')}\nLABEL mcq-operator.dev/test=other\n")
    docker.build(dockerfile, context, "mcq-service:other")
    return deployed.provider.load("mcq-service:other")


def test_the_gateway_answers_as_the_ingress_does(steady: Steady) -> None:
    """Traefik serves the real HTTPRoute."""
    answer = None

    def answers() -> bool:
        nonlocal answer
        try:
            answer = ask(f"http://{GATEWAY_HOST}:8080", {**QUESTION, "mode": "answer"})
        except OSError:
            return False
        return True

    eventually(answers, seconds=30)
    assert answer
    assert answer["answer"]["label"] == "B"


def test_ingress_and_gateway_serve_answers_and_the_page_below_a_path(steady: Steady) -> None:
    """Requests to the host's root then get 404."""
    path = "/teams/blue"
    hosts = [steady.host, GATEWAY_HOST]
    steady.patch({"ingress": {"path": path}, "gateway": {"path": path}})

    def answers(url: str) -> bool:
        try:
            return bool(ask(url, {**QUESTION, "mode": "answer"})["answer"]["label"] == "B")
        except OSError:
            return False

    for host in hosts:
        eventually(lambda host=host: answers(f"http://{host}:8080{path}"), seconds=120, what=host)  # type: ignore[misc]
    steady.settle()
    assert [_status(host, f"{path}/") for host in hosts] == [200, 200]
    assert [_status(host, "/") for host in hosts] == [404, 404]
    status = steady.get("mcqsolver", steady.name)["status"]
    assert status["url"] == f"http://{steady.host}{path}"
    steady.patch({"ingress": {"path": None}, "gateway": {"path": None}})
    for host in hosts:
        eventually(lambda host=host: answers(f"http://{host}:8080"), seconds=120, what=host)  # type: ignore[misc]
    steady.settle()


def _status(host: str, path: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", 8080, timeout=10)) as connection:
        connection.request("GET", path, headers={"Host": f"{host}:8080", "Accept": "text/html"})
        with connection.getresponse() as response:
            return response.status


def test_the_ingress_serves_https_with_the_certificate_of_the_spec(steady: Steady, tmp_path: Path) -> None:
    """A client verifies the certificate for the host name."""
    key, certificate = tmp_path / "tls.key", tmp_path / "tls.crt"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "1", "-subj", "/CN=test"]
    files = ["-keyout", str(key), "-out", str(certificate), "-addext", f"subjectAltName=DNS:{steady.host}"]
    subprocess.run([*command, *files], check=True, capture_output=True)
    steady.run("create", "secret", "tls", "steady-tls", f"--cert={certificate}", f"--key={key}")
    steady.patch({"ingress": {"tlsSecretName": "steady-tls"}})
    tls_context = ssl.create_default_context(cafile=str(certificate))

    def verified() -> bool:
        try:
            with (
                socket.create_connection(("127.0.0.1", 8443), timeout=5) as plain,
                tls_context.wrap_socket(plain, server_hostname=steady.host) as secure,
            ):
                request = f"GET /readyz HTTP/1.1\r\nHost: {steady.host}\r\nConnection: close\r\n\r\n"
                secure.sendall(request.encode())
                return secure.recv(100).startswith(b"HTTP/1.1 200")
        except ssl.SSLCertVerificationError:
            return False

    eventually(verified, seconds=30)
    assert steady.get("mcqsolver", steady.name)["status"]["url"] == f"https://{steady.host}"
    steady.patch({"ingress": {"tlsSecretName": None}})


def test_no_request_is_lost_by_any_change(steady: Steady, other_image: str) -> None:
    """Change model, image and settings; scale 3 to 5 to 2; evict and delete Pods; upgrade the operator."""
    with Load(steady.host) as load:
        steps: list[tuple[str, Callable[[], None]]] = [
            ("model", lambda: steady.patch({"engine": {"openai": {"model": "second"}}})),
            ("image", lambda: steady.patch({"image": other_image})),
            ("settings", lambda: steady.patch({"answering": {"maxReasoningTokens": 12}})),
            ("3 to 5", lambda: steady.patch({"replicas": 5})),
            ("5 to 2", lambda: steady.patch({"replicas": 2})),
            ("drain", lambda: drain(steady)),
            ("deleted Pod", lambda: delete_pod(steady)),
            ("operator", lambda: upgrade_operator(steady)),
        ]
        for name, step in steps:
            before, lost, started = load.answered, len(load.lost), time.monotonic()
            step()
            steady.settle()
            seconds = time.monotonic() - started
            print(f"{name}: {load.answered - before} answered, {len(load.lost) - lost} lost, {seconds:.0f} s")
        until = time.monotonic() + 120
        while load.answered < ENOUGH and time.monotonic() < until:
            time.sleep(0.5)
    print(f"in all: {load.answered} answered, {len(load.lost)} lost")
    assert load.lost == []
    assert load.answered >= ENOUGH


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("model", {"engine": {"openai": {"model": "missing"}}}, "Crashing"),
    ("image", {"image": "localhost:5001/mcq-service:none"}, "ImagePullBackOff"),
]


@pytest.mark.parametrize(("what", "spec", "reason"), BROKEN, ids=[row[0] for row in BROKEN])
def test_a_failing_roll_out_stops_with_a_condition_and_is_undone_without_losing_a_request(
    steady: Steady, what: str, spec: dict[str, Any], reason: str
) -> None:
    """The old replicas answer throughout, and a corrected spec rolls out."""
    before = steady.get("mcqsolver", steady.name)["spec"]
    old = set(steady.pods())
    with Load(steady.host) as load:
        steady.patch(spec)
        eventually(lambda: steady.conditions()["Degraded"]["status"] == "True", seconds=60)
        first = steady.conditions()["Degraded"]
        assert first["reason"] in {reason, "ErrImagePull", "RolledBack"}
        eventually(lambda: steady.conditions()["Ready"]["reason"] == "RolledBack", seconds=240)
        eventually(lambda: set(steady.pods()) == old, seconds=60)
        assert (
            reason in steady.conditions()["Degraded"]["message"]
            or "ErrImagePull" in steady.conditions()["Degraded"]["message"]
        )
        events = steady.get("events", "--field-selector", "reason=RolledBack")["items"]
        assert events
        steady.patch({key: before[key] for key in spec})
        steady.settle()
    print(f"broken {what}: {load.answered} answered, {len(load.lost)} lost")
    assert load.lost == []
    assert set(steady.pods()) == old
    assert "rollback" not in steady.get("mcqsolver", steady.name)["status"]


def drain(steady: Steady) -> None:
    """Evict every replica as a drain does; the budget allows one at a time."""
    for pod in steady.pods():
        eviction = {
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": pod, "namespace": NAMESPACE},
        }  # fmt: skip

        def evicted(pod: str = pod, eviction: dict[str, Any] = eviction) -> bool:
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
            try:
                steady.kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))
            except KubectlError as error:
                if "disruption budget" in str(error):
                    return False
                raise
            return True

        eventually(evicted, seconds=120)


def delete_pod(steady: Steady) -> None:
    """Delete one replica's Pod."""
    steady.run("delete", "pod", steady.pods()[0], "--wait=false")


def upgrade_operator(steady: Steady) -> None:
    """Replace the operator's Pods."""
    operator = ["--namespace", OPERATOR_NAMESPACE]
    steady.kubectl(*operator, "rollout", "restart", "deployment/mcq-operator")
    steady.kubectl(*operator, "rollout", "status", "deployment/mcq-operator", "--timeout=120s")
