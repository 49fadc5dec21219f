"""Three kind nodes: replicas spread over them, and losing a node loses no request."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hack.ask import QUESTION, ask
from hack.cluster.kind import KindCluster
from hack.kubectl import KubectlError
from hack.toolchain.commands import run
from tests.e2e.load import Load
from tests.e2e.steady import Steady, serving, steady_solver
from tests.e2e.support import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed

NAMESPACE = "mcq-nodes"
REPLICAS = 3
# Public clouds announce the end of a spot instance at most two minutes ahead.
NOTICE_SECONDS = 120
PORT = 9999
# Prints the address of the first client that connects.
LISTEN = f"import socket; s = socket.create_server(('', {PORT})); s.settimeout(60); print(s.accept()[1][0])"
POOL = {"mcq-operator.dev/test-pool": "gpu"}
TAINT = {"key": "mcq-operator.dev/test-dedicated", "value": "gpu", "effect": "NoSchedule"}


@pytest.fixture(scope="module")
def cluster(deployed: Deployed) -> KindCluster:
    """Return kind with three nodes, as started by `make test-nodes`."""
    if not isinstance(deployed.provider, KindCluster) or len(deployed.provider.nodes) != 3:
        pytest.fail("these tests need kind with three nodes: make test-nodes")
    return deployed.provider


@pytest.fixture(scope="module")
def nodes(cluster: KindCluster) -> tuple[str, str, str]:
    """Return the nodes' names; the Ingress controller is on the first."""
    first, second, third = cluster.nodes
    return first, second, third


@pytest.fixture(scope="module")
def solver(deployed: Deployed, cluster: KindCluster) -> Iterator[Steady]:
    """Yield three replicas with default scheduling."""
    solver = Steady(deployed.kubectl, NAMESPACE, "placed")
    with (
        serving(cluster.host_address()) as engine,
        steady_solver(deployed.kubectl, engine, solver, replicas=REPLICAS),
    ):
        yield solver


def test_pods_reach_pods_and_services_from_every_node_with_their_own_addresses(
    nodes: tuple[str, str, str], solver: Steady
) -> None:
    """Programs in the replicas' containers connect to each other."""
    replicas = {each["spec"]["nodeName"]: each for each in solver.replicas()}
    assert replicas.keys() == set(nodes)
    with ThreadPoolExecutor() as pool:
        for client, server in itertools.permutations(replicas.values(), 2):
            peer_address = pool.submit(python, solver, server, LISTEN)
            eventually(partial(connects, solver, client, server["status"]["podIP"]), seconds=30)
            assert peer_address.result().strip() == client["status"]["podIP"]
    service = f"http://{solver.name}.{NAMESPACE}.svc/livez"
    requests = f"import urllib.request\nfor _ in range(8): print(urllib.request.urlopen({service!r}).status)"
    for replica in replicas.values():
        assert python(solver, replica, requests).split() == ["200"] * 8


def python(solver: Steady, replica: dict[str, Any], program: str) -> str:
    """Run the program in the replica's container, and return its output."""
    return solver.run("exec", replica["metadata"]["name"], "--", "python", "-c", program)


def connects(solver: Steady, replica: dict[str, Any], address: str) -> bool:
    """Return True if the replica's container can connect to LISTEN's address."""
    try:
        python(solver, replica, f"import socket; socket.create_connection(({address!r}, {PORT}), 5)")
    except KubectlError:
        return False
    return True


def test_replicas_are_spread_over_the_nodes_and_each_answers(
    nodes: tuple[str, str, str], solver: Steady
) -> None:
    """The spec is the default, and each replica is asked directly, without the Service."""
    assert solver.places() == Counter(nodes)
    for pod in solver.pods():
        answer = solver.run("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8081/proxy/answerz")
        assert json.loads(answer)


def test_a_node_tainted_noexecute_loses_no_request(nodes: tuple[str, str, str], solver: Steady) -> None:
    """The tainted node's replica leaves at once, past the disruption budget; the others answer."""
    _, _, third = nodes
    assert solver.places()[third] == 1
    taint = "mcq-operator.dev/test-terminating=soon:NoExecute"
    with Load(solver.host) as load:
        time.sleep(2)
        solver.kubectl("taint", "node", third, taint)
        try:
            eventually(
                lambda: solver.places()[third] == 0 and solver.places().total() == REPLICAS,
                seconds=60,
                what="the replica is on another node",
            )
            solver.settle()
        finally:
            solver.kubectl("taint", "node", third, f"{taint}-")
    print(f"tainted NoExecute: {load.answered} answered, {len(load.lost)} lost")
    assert load.lost == []
    assert load.answered > 100


def test_a_drain_within_a_spot_nodes_notice_loses_no_request(
    nodes: tuple[str, str, str], solver: Steady
) -> None:
    """A termination handler cordons and drains the node, and the budget lets one replica leave at a time."""
    _, second, _ = nodes
    assert solver.places()[second]
    with Load(solver.host) as load:
        time.sleep(2)
        started = time.monotonic()
        try:
            solver.kubectl(
                "drain", second, "--ignore-daemonsets", "--delete-emptydir-data", "--force",
                f"--grace-period={NOTICE_SECONDS}", f"--timeout={NOTICE_SECONDS}s", *movable(solver),
            )  # fmt: skip
            seconds = time.monotonic() - started
            assert solver.places()[second] == 0
            solver.settle()
        finally:
            solver.kubectl("uncordon", second)
    print(f"drain: {load.answered} answered, {len(load.lost)} lost, drained in {seconds:.0f} s")
    assert load.lost == []
    assert load.answered > 100
    assert seconds < NOTICE_SECONDS


def movable(solver: Steady) -> list[str]:
    """Return a drain option that spares replicas of other solvers, such as `make demo`'s with their volume."""
    solvers = json.loads(solver.kubectl("get", "mcqsolvers", "--all-namespaces", "--output", "json"))["items"]
    others = [each["metadata"]["name"] for each in solvers if each["metadata"]["namespace"] != NAMESPACE]
    return [f"--pod-selector=app.kubernetes.io/instance notin ({','.join(others)})"] if others else []


def test_replicas_go_to_the_nodes_of_their_pool_and_only_with_a_toleration(
    nodes: tuple[str, str, str], solver: Steady
) -> None:
    """Until the spec tolerates the taint, old replicas answer and the condition has the scheduler's message."""
    _, second, _ = nodes
    before = set(solver.pods())
    [(label, value)] = POOL.items()
    taint = f"{TAINT['key']}={TAINT['value']}:{TAINT['effect']}"
    solver.kubectl("label", "node", second, f"{label}={value}")
    solver.kubectl("taint", "node", second, taint)
    try:
        with Load(solver.host) as load:
            solver.patch({"scheduling": {"nodeSelector": POOL}})
            eventually(
                lambda: solver.conditions()["Degraded"]["reason"] == "Unschedulable",
                seconds=60,
                what="the condition says that a replica is unschedulable",
            )
            assert "untolerated taint" in solver.conditions()["Degraded"]["message"]
            assert before < set(solver.pods())
            solver.patch({"scheduling": {"tolerations": [{**TAINT, "operator": "Equal"}]}})
            solver.settle()
    finally:
        solver.kubectl("taint", "node", second, f"{taint}-")
        solver.kubectl("label", "node", second, f"{label}-")
    print(f"to another pool: {load.answered} answered, {len(load.lost)} lost")
    assert solver.places() == {second: REPLICAS}
    assert load.lost == []


def test_when_a_node_stops_ready_is_false_and_the_other_replicas_answer(
    nodes: tuple[str, str, str], solver: Steady
) -> None:
    """The node stops without notice, as in a power cut, and returns."""
    _, _, third = nodes
    spread(solver)
    run(["docker", "stop", "--time=0", third])
    try:
        eventually(
            lambda: solver.conditions()["Ready"]["status"] == "False",
            seconds=120,
            what="Ready is False",
        )
        answered = [ask(f"http://{solver.host}:8080", {**QUESTION, "mode": "answer"}) for _ in range(20)]
        assert {each["answer"]["label"] for each in answered} == {"B"}
        assert solver.get("mcqsolver", solver.name)["status"]["readyReplicas"] == REPLICAS - 1
    finally:
        run(["docker", "start", third])
    solver.settle(seconds=240)


def spread(solver: Steady) -> None:
    """Put one replica on each node: a roll-out makes the replicas leave the pool."""
    solver.patch({"scheduling": {"nodeSelector": None, "tolerations": None}})
    solver.settle()
    assert sorted(solver.places().values()) == [1, 1, 1]
