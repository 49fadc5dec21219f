"""Volumes that only one node can mount: the claim binds its pods to that node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.e2e.support import eventually, pod, restricted_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed
    from hack.kubectl import Kubectl

NAMESPACE = "mcq-volumes"


@pytest.fixture(scope="module")
def kubectl(deployed: Deployed) -> Iterator[Kubectl]:
    restricted_namespace(deployed.kubectl, NAMESPACE)
    yield deployed.kubectl
    deployed.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def test_a_volume_of_the_default_class_is_mounted_on_one_node_only(kubectl: Kubectl) -> None:
    """On another node the pod stays Pending, and the scheduler reports why."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": NAMESPACE},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    nodes = kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split()
    writes = "import time; open('/data/file', 'w').close(); time.sleep(3600)"
    writer = pod(kubectl, NAMESPACE, "writer", program=writes, node=nodes[1], claim="data")
    reader = pod(kubectl, NAMESPACE, "reader", node=nodes[2], claim="data")
    kubectl("apply", "--filename", "-", stdin=json.dumps(claim))
    kubectl("apply", "--filename", "-", stdin=json.dumps(writer))
    kubectl("-n", NAMESPACE, "wait", "pod/writer", "--for=condition=Ready", "--timeout=120s")

    kubectl("apply", "--filename", "-", stdin=json.dumps(reader))

    def refused() -> bool:
        path = "jsonpath={.status.conditions[?(@.type=='PodScheduled')].message}"
        return "PersistentVolume's node affinity" in kubectl("-n", NAMESPACE, "get", "pod/reader", "-o", path)

    eventually(refused, seconds=60, what="the scheduler names the volume's node affinity")
