"""KubeRay's operator, written in Go, with the same work on the same kind of control plane.

It is the most similar operator that is a Go module: with an Ingress and the autoscaler's rights, each RayCluster has
five children and three Pods, and the operator creates the Pods itself.
"""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from hack.cluster import crds
from hack.control_plane.instance import free_ports
from hack.kubectl import wait_established

from benchmarks.operator import client, observer, operator_process
from benchmarks.operator.client import at_once
from benchmarks.operator.operator_process import Program
from benchmarks.operator.scenarios import LONGEST_SECONDS, REPEATS, Figures, spread
from benchmarks.operator.workload import places
from mcq_operator.api.kinds import INGRESS, POD, ROLE, ROLE_BINDING, SERVICE, SERVICE_ACCOUNT

if TYPE_CHECKING:
    from benchmarks.operator.client import Client
    from benchmarks.operator.control_plane import ControlPlane
    from benchmarks.operator.observer import Observer
    from benchmarks.operator.operator_process import Operator

TOOL = "kuberay"
MODULE = "github.com/ray-project/kuberay/ray-operator"
GROUP_VERSION = "ray.io/v1"
CRDS = ("rayclusters.ray.io", "rayjobs.ray.io", "rayservices.ray.io")
SELECTOR = "ray.io/cluster"
CHILD_KINDS = (SERVICE_ACCOUNT, ROLE, ROLE_BINDING, SERVICE, INGRESS, POD)
OBJECTS = len(CHILD_KINDS) + 2
"""The objects of one RayCluster; its Pods are a head and two workers."""
SETTINGS: dict[str, tuple[str, ...]] = {
    "as it comes": (),
    "unbounded": ("--reconcile-concurrency=32", "--qps=5000", "--burst=10000"),
}
"""KubeRay's defaults are one reconcile at a time and 100 requests a second; the other setting matches our clients."""


class RayCluster(NamedTuple):
    """A RayCluster with a head and two workers."""

    namespace: str
    name: str

    @property
    def manifest(self) -> dict[str, Any]:
        """Return the manifest."""
        group = {
            "rayStartParams": {},
            "template": {"spec": {"containers": [{"name": "ray", "image": "bench"}]}},
        }
        workers = {"groupName": "workers", "replicas": 2, "minReplicas": 1, "maxReplicas": 3}
        return {
            "apiVersion": GROUP_VERSION,
            "kind": "RayCluster",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "rayVersion": "2.46.0",
                "enableInTreeAutoscaling": True,
                "headGroupSpec": {**group, "enableIngress": True},
                "workerGroupSpecs": [{**group, **workers}],
            },
        }

    async def create(self, admin: Client) -> None:
        """Create it."""
        path = f"/apis/{GROUP_VERSION}/namespaces/{self.namespace}/rayclusters"
        await admin.send("POST", path, json.dumps(self.manifest).encode())


async def measure(plane: ControlPlane, setting: str, *, count: int) -> Figures:
    """Create clusters one after the other, then `count` at once, under one of SETTINGS."""
    plane.provider.tools.build([TOOL])
    _install_crds(plane)
    log = plane.provider.instance.logs / "kuberay.log"
    one, many = _clusters("one", REPEATS), _clusters("many", count)
    async with (
        client.connected(plane.provider.kubeconfig()) as admin,
        observer.watching(admin, CHILD_KINDS, SELECTOR, accept=observer.METADATA) as observed,
        operator_process.running(_program(plane, *SETTINGS[setting]), log) as operator,
    ):
        return {
            "one": spread([await _created(admin, observed, [cluster]) for cluster in one]),
            "many": await _at_once(plane, admin, observed, operator, many),
        }


async def _at_once(
    plane: ControlPlane, admin: Client, observed: Observer, operator: Operator, clusters: list[RayCluster]
) -> Figures:
    busy, cpu = plane.cpu_seconds(), operator.cpu_seconds
    seconds = await _created(admin, observed, clusters)
    used = {"operator": operator.cpu_seconds - cpu, **plane.cpu_seconds_since(busy)}
    return {
        "objects": len(clusters) * OBJECTS,
        "objects_seconds": seconds,
        "cpu_seconds_until_objects": used,
        "memory_mib": operator.memory,
    }


async def _created(admin: Client, observed: Observer, clusters: list[RayCluster]) -> float:
    """Create the clusters; return the seconds until each has all its objects."""
    expected, started = len(observed.first) + len(clusters) * OBJECTS, time.monotonic()
    await at_once(partial(cluster.create, admin) for cluster in clusters)
    return await observed.until(lambda: len(observed.first) >= expected, seconds=LONGEST_SECONDS) - started


def _clusters(prefix: str, count: int) -> list[RayCluster]:
    return [RayCluster(*place) for place in places(prefix, count)]


def _install_crds(plane: ControlPlane) -> None:
    bases = crds.directory(MODULE, pinned_in=TOOL) / "config/crd/bases"
    plane.kubectl("apply", "--server-side", "-f", str(bases))
    wait_established(plane.kubectl, CRDS)


def _program(plane: ControlPlane, *flags: str) -> Program:
    """Run KubeRay as administrator: that costs the API server less than rights that it has to look up."""
    [port] = free_ports(1)
    command = [
        str(plane.provider.tools.binary(TOOL, "ray-operator")),
        "--enable-leader-election=false",
        "--metrics-addr=127.0.0.1:0",
        f"--health-probe-bind-address=127.0.0.1:{port}",
        *flags,
    ]
    return Program(command, {"KUBECONFIG": str(plane.provider.kubeconfig())}, port)
