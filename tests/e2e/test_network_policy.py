"""The cluster's network plugin enforces a solver's NetworkPolicy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hack.ask import QUESTION, ask
from hack.cluster.kind import KindCluster
from hack.kubectl import KubectlError
from tests.e2e.steady import Steady, serving, steady_solver
from tests.e2e.support import eventually, pod, restricted_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed

NAMESPACE = "mcq-policy"
CLIENTS = "mcq-policy-clients"
ALLOWED = {"mcq-operator.dev/test-client": "yes"}
FROM: list[dict[str, Any]] = [
    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}},
    {"namespaceSelector": {}, "podSelector": {"matchLabels": ALLOWED}},
]


@pytest.fixture(scope="module")
def solver(deployed: Deployed) -> Iterator[Steady]:
    """Yield one replica that admits only Traefik and clients with the label."""
    if not isinstance(deployed.provider, KindCluster):
        pytest.skip("pods reach this machine on the kind cluster only")
    solver = Steady(deployed.kubectl, NAMESPACE, "guarded")
    policy = {"enabled": True, "allowedFrom": FROM}
    with (
        serving(deployed.provider.host_address()) as engine,
        steady_solver(deployed.kubectl, engine, solver, replicas=1, networkPolicy=policy),
    ):
        yield solver


@pytest.fixture(scope="module")
def client(deployed: Deployed, solver: Steady) -> Iterator[str]:
    """Yield a Pod in another namespace, without the label."""
    kubectl = deployed.kubectl
    restricted_namespace(kubectl, CLIENTS)
    kubectl("apply", "--filename", "-", stdin=json.dumps(pod(kubectl, CLIENTS, "client")))
    kubectl("-n", CLIENTS, "wait", "pod/client", "--for=condition=Ready", "--timeout=120s")
    yield "client"
    kubectl("delete", "namespace", CLIENTS, "--wait=false")


def connects(solver: Steady, client: str) -> bool:
    """Return True if the replica answers the client directly, without the Service."""
    [replica] = solver.replicas()
    address = (replica["status"]["podIP"], 8000)
    program = f"import socket; socket.create_connection({address!r}, timeout=3)"
    try:
        solver.kubectl("-n", CLIENTS, "exec", client, "--", "python", "-c", program)
    except KubectlError:
        return False
    return True


def test_an_unlabelled_client_is_refused_until_it_has_the_label(solver: Steady, client: str) -> None:
    eventually(lambda: not connects(solver, client), seconds=30, what="the client is refused")
    labels = [f"{name}={value}" for name, value in ALLOWED.items()]
    solver.kubectl("-n", CLIENTS, "label", "pod", client, *labels)
    eventually(lambda: connects(solver, client), seconds=30, what="the client is let in")
    solver.kubectl("-n", CLIENTS, "label", "pod", client, *(f"{name}-" for name in ALLOWED))
    eventually(lambda: not connects(solver, client), seconds=30, what="the client is refused again")


def test_the_ingress_and_the_operators_canary_are_admitted(solver: Steady) -> None:
    answer = ask(f"http://{solver.host}:8080", {**QUESTION, "mode": "answer"})
    assert answer["answer"]["label"] == "B"
    assert solver.conditions()["Ready"]["status"] == "True"
