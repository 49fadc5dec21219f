"""Three nodes and replicas with their own model: each kind of cache, and how a drain affects it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hack.cluster.kind import KindCluster
from tests.e2e.load import Load
from tests.e2e.steady import Steady
from tests.e2e.storage.test_models import secret
from tests.e2e.support import eventually, restricted_namespace
from tests.service.model_store import tiny
from tests.support.s3_server import s3_server, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed

NAMESPACE = "mcq-caches"
URI = "s3://models/team/tiny"
SPEC: dict[str, Any] = {
    "model": {"uri": URI, "credentialsSecretRef": {"name": "reader"}},
    "answering": {"defaultMode": "answer"},
    "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
}
REPLICAS = 3
DRAIN_SECONDS = 120


@pytest.fixture(scope="module")
def nodes(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Yield the three nodes; prepare a namespace and a bucket with a model."""
    if not isinstance(deployed.provider, KindCluster) or len(deployed.provider.nodes) != 3:
        pytest.fail("these tests need kind with three nodes: make test-nodes")
    folder = tmp_path_factory.mktemp("buckets")
    tiny.make_answering(folder / URI.removeprefix("s3://"))
    restricted_namespace(deployed.kubectl, NAMESPACE)
    with s3_server(folder, host=deployed.provider.host_address()) as url:
        namespace = json.dumps(
            {**secret("reader", variables(url)), "metadata": {"name": "reader", "namespace": NAMESPACE}}
        )
        deployed.kubectl("apply", "--filename", "-", stdin=namespace)
        yield deployed.provider.nodes
        deployed.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def apply(deployed: Deployed, name: str, **spec: Any) -> Steady:
    """Apply the solver with `spec` in addition to its model, and wait until it is Ready."""
    solver = Steady(deployed.kubectl, NAMESPACE, name)
    manifest = {
        "apiVersion": "mcq-operator.dev/v1alpha1",
        "kind": "MCQSolver",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**SPEC, **spec},
    }
    deployed.kubectl("apply", "--filename", "-", stdin=json.dumps(manifest))
    eventually(lambda: bool(solver.conditions()), seconds=30)
    # The first replica on a node pulls an image of some gigabytes.
    solver.settle(seconds=600)
    return solver


def drain(solver: Steady, node: str) -> None:
    """Cordon the node and evict the solver's replicas within its budget; fail after a timeout."""
    solver.kubectl(
        "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force",
        f"--timeout={DRAIN_SECONDS}s", f"--pod-selector=app.kubernetes.io/instance={solver.name}",
    )  # fmt: skip


def test_draining_each_node_in_turn_loses_no_request_by_default(deployed: Deployed, nodes: list[str]) -> None:
    """Three replicas run on three nodes, each with its own copy of the model."""
    solver = apply(deployed, "spread", ingress={"host": "spread.localhost"})
    assert sorted(solver.places()) == sorted(nodes)
    with Load(solver.host, label=None) as load:
        for node in nodes:
            try:
                drain(solver, node)
                assert solver.places()[node] == 0
                solver.settle()
            finally:
                solver.kubectl("uncordon", node)
    print(f"three drains: {load.answered} answered, {len(load.lost)} lost")
    assert load.lost == []
    assert load.answered > 100
    solver.run("delete", "mcqsolver/spread")


def test_replicas_with_a_single_node_volume_run_on_one_node_and_leave_it_together(
    deployed: Deployed, nodes: list[str]
) -> None:
    """The drain finishes, and the replicas start again on the only node that can mount the volume."""
    solver = apply(deployed, "shared", storage={"cache": {"type": "PVC", "size": "1Gi"}})
    [(node, count)] = solver.places().items()
    assert (node in nodes, count) == (True, REPLICAS)
    claim = solver.get("persistentvolumeclaim", "shared-model-cache")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    try:
        drain(solver, node)
        assert solver.places()[node] == 0
        assert solver.conditions()["Ready"]["status"] == "False"
    finally:
        solver.kubectl("uncordon", node)
    solver.settle()
    assert solver.places() == {node: REPLICAS}
