"""Two real nodes: replicas spread over them, and what takes a node away loses no request.

The second node is this machine once more, with a containerd, a kubelet and a pod network of its own.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hack.cluster.local import Local
from hack.cluster.member import FIRST, SECOND, Member
from hack.cluster.processes import Processes
from hack.cluster.teardown import mounts_below, shims
from hack.kubectl import KubectlError
from tests.cluster.load import Load
from tests.cluster.steady import Steady, serving, steady_solver
from tests.cluster.support import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed

NAMESPACE = "mcq-nodes"
# What an instance of the clouds' spot markets is given between the notice and its end: two minutes at most.
NOTICE_SECONDS = 120
PORT = 9999
# Whoever connects first is whose address it prints.
LISTEN = f"import socket; s = socket.create_server(('', {PORT})); s.settimeout(60); print(s.accept()[1][0])"
POOL = {"mcq-operator.dev/test-pool": "gpu"}
TAINT = {"key": "mcq-operator.dev/test-dedicated", "value": "gpu", "effect": "NoSchedule"}


@pytest.fixture(scope="module")
def local(deployed: Deployed) -> Local:
    """The local cluster, which alone can be given a node."""
    if not isinstance(deployed.provider, Local):
        pytest.skip("only the local cluster can be given a second node")
    return deployed.provider


@pytest.fixture(scope="module")
def nodes(local: Local) -> Iterator[tuple[str, str]]:
    """The names of the first node and of the second."""
    first, second = Member(local.instance, FIRST), local.add_node()
    yield first.name, second.name
    local.remove_node()


@pytest.fixture(scope="module")
def solver(deployed: Deployed, nodes: tuple[str, str]) -> Iterator[Steady]:
    """Two replicas, with scheduling at its defaults."""
    made = Steady(deployed.kubectl, NAMESPACE, "placed")
    with serving() as engine, steady_solver(deployed.kubectl, engine, made, replicas=2):
        yield made


def places(solver: Steady) -> Counter[str]:
    """How many replicas are on each node; those that are ending are not counted."""
    return Counter(
        each["spec"].get("nodeName", "")
        for each in solver.replicas()
        if "deletionTimestamp" not in each["metadata"]
    )


def test_pods_reach_pods_and_services_from_either_node_under_their_own_addresses(
    nodes: tuple[str, str], solver: Steady
) -> None:
    """By programs that run in the replicas' containers."""
    replicas = {each["spec"]["nodeName"]: each for each in solver.replicas()}
    assert replicas.keys() == set(nodes)
    with ThreadPoolExecutor() as pool:
        for one, other in itertools.permutations(replicas.values(), 2):
            heard = pool.submit(python, solver, other, LISTEN)
            eventually(partial(connects, solver, one, other["status"]["podIP"]), seconds=30)
            assert heard.result().strip() == one["status"]["podIP"]
    service = f"http://{solver.name}.{NAMESPACE}.svc/livez"
    asked = f"import urllib.request\nfor _ in range(8): print(urllib.request.urlopen({service!r}).status)"
    for replica in replicas.values():
        assert python(solver, replica, asked).split() == ["200"] * 8


def python(solver: Steady, replica: dict[str, Any], program: str) -> str:
    """What the program prints in the replica's container."""
    return solver.run("exec", replica["metadata"]["name"], "--", "python", "-c", program)


def connects(solver: Steady, replica: dict[str, Any], address: str) -> bool:
    """Whether the replica's container connects to where LISTEN listens."""
    try:
        python(solver, replica, f"import socket; socket.create_connection(({address!r}, {PORT}), 5)")
    except KubectlError:
        return False
    return True


def test_replicas_are_spread_over_the_nodes_and_each_answers(nodes: tuple[str, str], solver: Steady) -> None:
    """By the default spec; asked one by one, past the Service."""
    assert places(solver) == Counter(nodes)
    for pod in solver.pods():
        answer = solver.run("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8000/proxy/answerz")
        assert json.loads(answer)


def test_a_node_tainted_noexecute_loses_no_request(nodes: tuple[str, str], solver: Steady) -> None:
    """Its replica has to go at once, past the disruption budget; that of the other node answers."""
    first, second = nodes
    assert places(solver)[second] == 1
    taint = "mcq-operator.dev/test-terminating=soon:NoExecute"
    with Load(solver.host) as load:
        time.sleep(2)
        solver.kubectl("taint", "node", second, taint)
        try:
            eventually(
                lambda: places(solver) == {first: 2}, seconds=60, what="the replica is on the other node"
            )
            solver.settle()
        finally:
            solver.kubectl("taint", "node", second, f"{taint}-")
    print(f"tainted NoExecute: {load.answered} answered, {len(load.lost)} lost")
    assert load.lost == []
    assert load.answered > 100


def test_a_drain_within_a_spot_nodes_notice_loses_no_request(nodes: tuple[str, str], solver: Steady) -> None:
    """What a termination handler does: cordon and drain. All replicas are there; the budget takes one at a time."""
    first, second = nodes
    assert places(solver) == {first: 2}
    with Load(solver.host) as load:
        time.sleep(2)
        started = time.monotonic()
        try:
            solver.kubectl(
                "drain", first, "--ignore-daemonsets", "--delete-emptydir-data", "--force",
                f"--grace-period={NOTICE_SECONDS}", f"--timeout={NOTICE_SECONDS}s", *movable(solver),
            )  # fmt: skip
            seconds = time.monotonic() - started
            assert places(solver)[first] == 0
            solver.settle()
        finally:
            solver.kubectl("uncordon", first)
    print(f"drain: {load.answered} answered, {len(load.lost)} lost, drained in {seconds:.0f} s")
    assert load.lost == []
    assert load.answered > 100
    assert places(solver) == {second: 2}
    assert seconds < NOTICE_SECONDS


def movable(solver: Steady) -> list[str]:
    """The option by which a drain spares other solvers' replicas: those of `make demo` can't leave their volume."""
    found = json.loads(solver.kubectl("get", "mcqsolvers", "--all-namespaces", "--output", "json"))["items"]
    others = [each["metadata"]["name"] for each in found if each["metadata"]["namespace"] != NAMESPACE]
    return [f"--pod-selector=app.kubernetes.io/instance notin ({','.join(others)})"] if others else []


def test_replicas_go_to_the_nodes_of_their_pool_and_only_with_a_toleration(
    nodes: tuple[str, str], solver: Steady
) -> None:
    """Until the taint is tolerated the replicas of before answer, and the condition has the scheduler's words."""
    first, _ = nodes
    before = set(solver.pods())
    [(label, value)] = POOL.items()
    taint = f"{TAINT['key']}={TAINT['value']}:{TAINT['effect']}"
    solver.kubectl("label", "node", first, f"{label}={value}")
    solver.kubectl("taint", "node", first, taint)
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
        solver.kubectl("taint", "node", first, f"{taint}-")
        solver.kubectl("label", "node", first, f"{label}-")
    print(f"to another pool: {load.answered} answered, {len(load.lost)} lost")
    assert places(solver) == {first: 2}
    assert load.lost == []


def test_a_removed_node_leaves_nothing_behind_and_the_other_runs_on(
    local: Local, nodes: tuple[str, str], solver: Steady
) -> None:
    """And it can be added again."""
    second = Member(local.instance, SECOND)
    before = Processes(local.instance.state / "processes", local.instance.logs)
    assert all(before.running(second.part(name)) for name in ("containerd", "kubelet"))
    kept = {name: before.running(name) for name in before.names() if not name.endswith("-2")}

    local.remove_node()

    assert {name: before.running(name) for name in before.names()} == kept
    assert shims(second.containerd_socket) == []
    assert mounts_below(second.state("kubelet")) == []
    assert not second.joined
    assert solver.kubectl("get", "nodes", "-o", "name").split() == [f"node/{nodes[0]}"]
    solver.settle()
    assert local.add_node() == second
