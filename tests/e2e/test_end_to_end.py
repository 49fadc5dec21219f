"""One MCQSolver on a real node: from `kubectl apply` through answers of the real model to its complete removal.

The tests follow one solver's life in the order of this file.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hack.ask import QUESTION, ask
from hack.cluster.kind import KindCluster
from hack.installation import Solver as Installed
from hack.installation import wait_ready
from hack.kubectl import KubectlError
from tests.e2e.conftest import HOST, NAME, NAMESPACE, Solver
from tests.e2e.support import eventually
from tests.support import client_programs

from mcq_operator.api.rbac import NAMESPACE as OPERATOR_NAMESPACE

if TYPE_CHECKING:
    from hack.deploy import Deployed

CHILDREN = [
    f"deployment/{NAME}",
    f"service/{NAME}",
    f"ingress/{NAME}",
    f"serviceaccount/{NAME}",
    f"poddisruptionbudget/{NAME}",
    f"persistentvolumeclaim/{NAME}-model-cache",
]


def test_a_ready_solver_answers_at_once(solver: Solver) -> None:
    """A Ready solver answers through the Ingress: with the real model, reasoning and probabilities."""
    answer = ask(solver.url, QUESTION)
    assert answer["mode"] == "explain"
    assert answer["answer"] == {"label": "B", "index": 1, "text": "Service"}
    probabilities = [row["probability"] for row in answer["probabilities"]]
    assert [row["label"] for row in answer["probabilities"]] == ["A", "B", "C", "D"]
    assert sum(probabilities) == pytest.approx(1)
    assert answer["confidence"] == max(probabilities) == probabilities[1]
    assert len(answer["reasoning"].split()) > 3
    assert answer["usage"]["cached_tokens"] > 0
    assert len(answer["trace_id"]) == 32


def test_three_pods_answer_behind_one_service(solver: Solver) -> None:
    """A solver has three replicas by default, each with its own address in the Service, of every IP family."""
    slices = solver.get("endpointslices", "--selector", f"kubernetes.io/service-name={NAME}")["items"]
    for each in slices:
        ready = {tuple(e["addresses"]) for e in each["endpoints"] if e["conditions"]["ready"]}
        assert len(ready) == 3
    assert len(slices) == len(solver.get("service", NAME)["spec"]["ipFamilies"])


def test_the_service_has_the_clusters_ip_families(solver: Solver, deployed: Deployed) -> None:
    if not isinstance(deployed.provider, KindCluster):
        pytest.skip("only the kind cluster's families are known")
    families = {"ipv4": ["IPv4"], "ipv6": ["IPv6"], "dual": ["IPv4", "IPv6"]}[deployed.provider.ip_family]
    assert solver.get("service", NAME)["spec"]["ipFamilies"] == families


def test_kubectl_get_shows_the_solvers_state(solver: Solver) -> None:
    """`kubectl get mcq` shows readiness, replicas, model and URL."""
    header, line = solver.kubectl("--namespace", NAMESPACE, "get", "mcq").splitlines()
    # Split by the columns' positions, because the exam column is empty.
    ends = [*(match.start() for match in re.finditer(r"\S+", header)), None]
    columns = {header[a:b].strip(): line[a:b].strip() for a, b in pairwise(ends)}
    assert columns["ACCURACY"] == ""
    assert columns["NAME"] == NAME
    assert columns["READY"] == "True"
    assert columns["REPLICAS"].startswith("3")
    assert columns["MODEL"] == "hf://Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"
    assert HOST in columns["URL"]


def test_an_invalid_question_gets_a_problem_document_through_the_ingress(solver: Solver) -> None:
    """The problem document keeps its status, media type and body."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(solver.url, {"question": "Which?", "choices": ["only one"]})
    with refused.value as response:
        assert response.code == 422
        assert response.headers["Content-Type"] == "application/problem+json"
        assert json.load(response)["errors"][0]["pointer"] == "/choices"


def test_a_reconcile_that_changes_nothing_writes_nothing(solver: Solver) -> None:
    """A change without effect does not increase the operator's count of writes."""
    before = _counter(solver, "mcq_operator_writes_total")
    reconciles = _reconciles(solver)
    solver.kubectl("--namespace", NAMESPACE, "annotate", f"mcqsolver/{NAME}", "example.com/touched=yes")
    eventually(lambda: _reconciles(solver) > reconciles, seconds=30)
    assert _counter(solver, "mcq_operator_writes_total") == before


def _answers_steadily(url: str) -> bool:
    """Return True if the URL answers for longer than Traefik's two seconds between updates."""
    try:
        for _ in range(4):
            ask(url, {**QUESTION, "mode": "answer"})
            time.sleep(1)
    except urllib.error.HTTPError:
        return False
    return True


@pytest.mark.parametrize("child", ["service", "ingress", "poddisruptionbudget"])
def test_a_deleted_child_is_recreated(solver: Solver, child: str) -> None:
    """The operator recreates the child, and the solver answers once the Ingress controller is up to date."""
    old = solver.get(child, NAME)["metadata"]["uid"]
    solver.kubectl("--namespace", NAMESPACE, "delete", child, NAME, "--wait=false")
    eventually(lambda: _uid(solver, child, NAME) not in {None, old}, seconds=30)
    eventually(lambda: _answers_steadily(solver.url), seconds=60, what="it answers through the Ingress again")


def test_an_edited_deployment_is_reverted(solver: Solver) -> None:
    """The operator reverts an edit of a field that it owns."""
    patch = '{"spec": {"minReadySeconds": 0, "strategy": {"rollingUpdate": {"maxUnavailable": 1}}}}'
    solver.kubectl("--namespace", NAMESPACE, "patch", "deployment", NAME, "--patch", patch)
    eventually(
        lambda: solver.get("deployment", NAME)["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0,
        seconds=30,
    )
    solver.wait_ready()


def test_kubectl_scale_changes_the_replicas(solver: Solver) -> None:
    """The scale subresource's spec and status both work, and the solver becomes Ready with two replicas."""
    solver.kubectl("--namespace", NAMESPACE, "scale", f"mcqsolver/{NAME}", "--replicas=2")
    eventually(lambda: solver.get("mcqsolver", NAME)["status"].get("readyReplicas") == 2, seconds=90)
    solver.wait_ready()
    scale = json.loads(
        solver.kubectl(
            "get", "--raw", f"/apis/mcq-operator.dev/v1alpha1/namespaces/{NAMESPACE}/mcqsolvers/{NAME}/scale"
        )
    )
    assert scale["spec"]["replicas"] == scale["status"]["replicas"] == 2
    assert NAME in scale["status"]["selector"]
    assert ask(solver.url, {**QUESTION, "mode": "answer"})["answer"]["label"] == "B"


@pytest.mark.slow
@pytest.mark.parametrize("name", client_programs.PROGRAMS)
def test_the_documented_clients_ask_through_the_ingress(solver: Solver, name: str) -> None:
    client_programs.check(name, solver.url)


@pytest.mark.slow
def test_a_solver_with_a_remote_engine_answers_clients_with_a_key(solver: Solver) -> None:
    """The engine is the first solver: the relay mounts no model, and a changed Secret needs no restart."""
    first, second = "first-key-of-alice-0123", "second-key-of-alice-4567"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "clients", "namespace": NAMESPACE}}
    spec = {
        "replicas": 1,
        "engine": {"type": "OpenAI", "openai": {"endpoint": f"http://{NAME}.{NAMESPACE}.svc/v1"}},
        "auth": {"apiKeysSecretRef": {"name": "clients"}},
        "ingress": {"enabled": True, "className": "traefik", "host": "relay.localhost"},
    }
    relay = {
        "apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver",
        "metadata": {"name": "relay", "namespace": NAMESPACE}, "spec": spec,
    }  # fmt: skip
    url = "http://relay.localhost:8080"
    solver.kubectl("apply", "--filename", "-", stdin=json.dumps({**secret, "stringData": {"alice": first}}))
    solver.kubectl("apply", "--filename", "-", stdin=json.dumps(relay))
    wait_ready(solver.kubectl, Installed(NAMESPACE, "relay"), seconds=900)
    answer = ask(url, QUESTION, key=first)
    assert answer["answer"]["label"] == "B"
    assert len(answer["reasoning"].split()) > 3
    assert _status(url, None) == _status(url, second) == 401
    [pod] = solver.get("pods", "--selector", "app.kubernetes.io/instance=relay")["items"]
    assert "cache" not in {volume["name"] for volume in pod["spec"]["volumes"]}
    solver.kubectl("apply", "--filename", "-", stdin=json.dumps({**secret, "stringData": {"alice": second}}))
    eventually(lambda: _status(url, second) == 200, seconds=180)
    assert _status(url, first) == 401
    [same] = solver.get("pods", "--selector", "app.kubernetes.io/instance=relay")["items"]
    assert same["metadata"]["uid"] == pod["metadata"]["uid"]
    assert same["status"]["containerStatuses"][0]["restartCount"] == 0
    solver.kubectl("--namespace", NAMESPACE, "delete", "mcqsolver/relay", "--timeout=60s")


def _status(url: str, key: str | None) -> int:
    try:
        ask(url, {**QUESTION, "mode": "answer"}, key=key)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return 200


def test_an_invalid_solver_is_refused_with_a_message(solver: Solver) -> None:
    """The API server refuses a spec that violates the schema, and names the field."""
    with pytest.raises(KubectlError, match=r"spec\.replicas"):
        solver.kubectl(
            "--namespace", NAMESPACE, "patch", f"mcqsolver/{NAME}",
            "--type=merge", "--patch", '{"spec": {"replicas": -1}}',
        )  # fmt: skip


def test_deletion_is_complete_without_the_operator(solver: Solver) -> None:
    """Owner references delete the children, so no finalizer waits for a missing operator."""
    operator = ["--namespace", OPERATOR_NAMESPACE]
    solver.kubectl(*operator, "scale", "deployment/mcq-operator", "--replicas=0")
    try:
        solver.kubectl(*operator, "wait", "pod", "--all", "--for=delete", "--timeout=60s")
        solver.kubectl("--namespace", NAMESPACE, "delete", f"mcqsolver/{NAME}", "--timeout=60s")
        eventually(lambda: _remaining_objects(solver) == [], seconds=90)
    finally:
        solver.kubectl(*operator, "scale", "deployment/mcq-operator", "--replicas=2")
        solver.kubectl(*operator, "rollout", "status", "deployment/mcq-operator", "--timeout=120s")


def _remaining_objects(solver: Solver) -> list[str]:
    kinds = ",".join(child.partition("/")[0] for child in CHILDREN) + ",pods"
    selector = f"app.kubernetes.io/instance={NAME}"
    return [item["metadata"]["name"] for item in solver.get(kinds, "--selector", selector)["items"]]


def _uid(solver: Solver, kind: str, name: str) -> str | None:
    try:
        uid: str = solver.get(kind, name)["metadata"]["uid"]
    except KubectlError:
        return None
    return uid


def _reconciles(solver: Solver) -> float:
    """Return the operator's number of reconciles."""
    return _counter(solver, "mcq_operator_reconciles_total")


def _counter(solver: Solver, metric: str) -> float:
    """Return the sum of one of the operator's counters."""
    pods = json.loads(solver.kubectl("--namespace", OPERATOR_NAMESPACE, "get", "pods", "--output", "json"))
    # Query each Pod: only the leader of the two counts.
    lines = [
        line
        for pod in pods["items"]
        for line in solver.kubectl(
            "get", "--raw",
            f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod['metadata']['name']}:8081/proxy/metrics",
        ).splitlines()
    ]  # fmt: skip
    return sum(float(line.split()[-1]) for line in lines if line.startswith(metric))
