"""The promises of docs/reliability.md: with a slow API server, a restored etcd and a clock that jumps."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hack import operator_rights
from hack.control_plane.control_plane import ControlPlane
from hack.control_plane.instance import Instance
from hack.toolchain.progress import Progress
from tests.chaos import campaign
from tests.chaos.calls import Call, Point, Trace
from tests.chaos.faults import NoFault
from tests.chaos.program import Program
from tests.chaos.proxy import Answer, Proxy, Send
from tests.operator.conftest import CONTROL_PLANE, Bench, Kubectl, control_plane
from tests.operator.live import apply, existing, mark_pods_ready, own_host, patch, until

pytestmark = pytest.mark.xdist_group("restored")

DELAY_SECONDS = 2.0
RESTORED = f"{CONTROL_PLANE}-restored"


class Slow(NoFault):
    """Delays every answer, and the first byte of every watch."""

    async def watch(self, point: Point, call: Call) -> Answer | None:
        """Delay the watch's first byte."""
        await asyncio.sleep(DELAY_SECONDS)
        return await super().watch(point, call)

    async def request(self, point: Point, call: Call, path: str, send: Send) -> Answer:
        """Delay the answer."""
        await asyncio.sleep(DELAY_SECONDS)
        return await super().request(point, call, path, send)


@pytest.fixture
async def slow(kubectl: Kubectl, cluster_kubectl: Kubectl, tmp_path: Path) -> AsyncIterator[Program]:
    """An operator with an API server that takes two seconds for each answer."""
    operator_rights.install(cluster_kubectl)
    async with (
        campaign.connected(kubectl.kubeconfig) as upstream,
        Proxy(upstream, Trace("slow"), Slow()).serving() as url,
    ):
        program = Program(tmp_path, kubectl.namespace, url)
        program.start()
        yield program
        program.kill()


@pytest.mark.slow
async def test_an_api_server_with_two_seconds_of_latency_breaks_nothing(
    kubectl: Kubectl, slow: Program
) -> None:
    apply(kubectl, own_host(kubectl))
    await until(lambda: kubectl.get("ingress", "demo"), 60)
    await mark_pods_ready(kubectl)

    await until(lambda: existing(kubectl, "mcq", "demo").get("status", {}).get("readyReplicas") == 3, 60)
    kubectl("delete", "service", "demo")
    await until(lambda: kubectl.get("service", "demo"), 30)
    assert slow.complaints() == slow.ends == []


@pytest.fixture(scope="module")
def restorable() -> Iterator[Kubectl]:
    """kubectl with a control plane of this module, which replaces its etcd."""
    with control_plane(RESTORED) as kubectl:
        operator_rights.install(kubectl)
        yield kubectl


class Etcd:
    """Saves the data of the control plane's etcd, and restores it as from a backup."""

    def __init__(self, saved: Path) -> None:
        self._provider = ControlPlane(Instance(RESTORED), Progress())
        self._data, self._saved = self._provider.instance.state / "etcd", saved

    def save(self) -> None:
        """Copy the data while no client writes."""
        self._stop()
        shutil.copytree(self._data, self._saved)
        self._provider.up()

    def restore(self) -> None:
        """Put the copy back, with its older versions."""
        self._stop()
        shutil.rmtree(self._data)
        shutil.copytree(self._saved, self._data)
        self._provider.up()

    def _stop(self) -> None:
        self._provider.processes.stop(["kube-controller-manager", "kube-apiserver", "etcd"])


@pytest.mark.slow
async def test_a_restored_etcd_is_reconciled(restorable: Kubectl, tmp_path: Path) -> None:
    """Its versions are older than those that the operator has observed, so its watches show nothing."""
    restorable.server.create_namespace("team")
    kubectl = Kubectl(restorable.program, restorable.kubeconfig, "team")
    async with (
        campaign.connected(kubectl.kubeconfig) as upstream,
        Proxy(upstream, Trace("restored"), NoFault()).serving() as url,
    ):
        operator = Program(tmp_path, "team", url)
        operator.start()
        try:
            await _restore_and_reconcile(kubectl, Etcd(tmp_path / "saved"))
            assert operator.complaints() == operator.ends == []
        finally:
            operator.kill()


async def _restore_and_reconcile(kubectl: Kubectl, etcd: Etcd) -> None:
    apply(kubectl, {"replicas": 2})
    await until(lambda: kubectl.get("deployment", "demo"), 30)
    await asyncio.to_thread(etcd.save)
    apply(kubectl, {"replicas": 5})
    await until(lambda: existing(kubectl, "deployment", "demo")["spec"]["replicas"] == 5, 60)
    await asyncio.to_thread(etcd.restore)
    await until(lambda: existing(kubectl, "deployment", "demo")["spec"]["replicas"] == 2, 60)
    # No event reports these changes: their versions are older than the last one of the watches.
    patch(kubectl, "mcq", "demo", {"spec": {"replicas": 3}})
    await until(lambda: existing(kubectl, "deployment", "demo")["spec"]["replicas"] == 3, 60)
    kubectl("delete", "service", "demo")
    await until(lambda: kubectl.get("service", "demo"), 60)


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_jumps_by_an_hour_changes_nothing(
    kubectl: Kubectl, bench: Bench, hours: int
) -> None:
    apply(kubectl, own_host(kubectl))
    await until(lambda: kubectl.get("mcq", "demo"))
    await bench.reconcile()
    await mark_pods_ready(kubectl)
    await bench.settle()
    bench.now += timedelta(hours=hours)
    assert await bench.reconcile() == []
