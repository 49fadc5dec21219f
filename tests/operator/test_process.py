"""`python -m mcq_operator` as a process, with no more rights than config/rbac gives it."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from hack import operator_rights
from tests.operator.conftest import Kubectl, workloads_are_observed
from tests.operator.live import NAMES, all_created, apply, existing, own_host, until

pytestmark = pytest.mark.xdist_group("apart")

QUICK = 10.0
TAKEOVER_SECONDS = 25.0
"""A Lease lasts for 15 s after its last renewal, and a candidate tries every 2 s."""


@pytest.fixture(scope="session")
def cluster_kubectl(apart_kubectl: Kubectl) -> Kubectl:
    """Use the second API server: an operator of all namespaces finds no objects of other tests there."""
    return apart_kubectl


class Operator:
    """An operator's process."""

    def __init__(self, kubeconfig: Path, log: Path, **settings: str) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port: int = listener.getsockname()[1]
        self._log = log
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "MCQ_OPERATOR_HOST": "127.0.0.1",
            "MCQ_OPERATOR_PORT": str(self.port),
            "MCQ_OPERATOR_CANARY_URL": "http://127.0.0.1:9",
            **settings,
        }

    async def start(self) -> None:
        """Start the process and wait until it is ready."""
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "mcq_operator", env=self._environment, stderr=log
            )
        for _ in range(600):  # a minute: other workers' control planes start meanwhile
            assert self.process.returncode is None, self.log()
            if await self.get("/readyz") == (200, "ok\n"):
                return
            await asyncio.sleep(0.1)
        message = f"not ready: {self.log()}"
        raise AssertionError(message)

    async def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 20)

    async def get(self, path: str) -> tuple[int, str]:
        """Return the status and the body of a path; (0, "") without an answer."""
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return response.status, await response.text()
        except aiohttp.ClientError:
            return 0, ""

    async def writes(self) -> float:
        """Return how many writes the operator has sent."""
        _, text = await self.get("/metrics")
        lines = [line for line in text.splitlines() if line.startswith("mcq_operator_writes_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def quiet(self) -> float:
        """Wait until the operator sends no more writes; return how many it has sent."""
        count, still = await self.writes(), 0
        for _ in range(100):
            await asyncio.sleep(0.2)
            before, count = count, await self.writes()
            still = still + 1 if before == count else 0
            if still == 10:
                return count
        message = f"still writing: {self.log()}"
        raise AssertionError(message)

    def log(self) -> str:
        """Return the operator's whole log."""
        return self._log.read_text()


@pytest.fixture
def restricted_kubeconfig(cluster_kubectl: Kubectl, tmp_path: Path) -> Path:
    """A kubeconfig of the operator's own ServiceAccount."""
    operator_rights.install(cluster_kubectl)
    return operator_rights.kubeconfig(cluster_kubectl, tmp_path / "kubeconfig")


@pytest.fixture
async def operator(
    cluster_kubectl: Kubectl, restricted_kubeconfig: Path, tmp_path: Path
) -> AsyncIterator[Operator]:
    """A running operator that serves all namespaces."""
    # Namespaces of earlier tests may still be going; the operator would report what fails in them.
    cluster_kubectl("delete", "mcq", "--all", "--all-namespaces")
    operator = Operator(restricted_kubeconfig, tmp_path / "operator.log")
    await operator.start()
    yield operator
    with contextlib.suppress(ProcessLookupError):
        operator.process.kill()
    await operator.process.wait()


async def is_leader(operator: Operator) -> bool:
    """Return whether the operator's metrics say that it leads."""
    _, text = await operator.get("/metrics")
    return "mcq_operator_leader 1.0" in text.splitlines()


async def wait_for_leader(operator: Operator, *, seconds: float) -> None:
    """Wait until the operator leads."""
    async with asyncio.timeout(seconds):
        while not await is_leader(operator):
            await asyncio.sleep(0.1)


@pytest.fixture
async def pair(restricted_kubeconfig: Path, tmp_path: Path) -> AsyncIterator[tuple[Operator, Operator]]:
    """Two operators that elect a leader; the first one leads."""
    lease = {"MCQ_OPERATOR_LEASE": f"mcq-operator-system/test-{uuid.uuid4().hex[:8]}"}
    operators = [
        Operator(restricted_kubeconfig, tmp_path / f"operator-{number}.log", **lease) for number in (1, 2)
    ]
    first, second = operators
    try:
        await first.start()
        await wait_for_leader(first, seconds=10)
        await second.start()
        yield first, second
    finally:
        for each in operators:
            with contextlib.suppress(ProcessLookupError, AttributeError):
                each.process.kill()
                await each.process.wait()


async def test_another_candidate_leads_when_a_killed_leaders_lease_expires(
    kubectl: Kubectl, pair: tuple[Operator, Operator]
) -> None:
    """Meanwhile the candidate is ready, and writes nothing."""
    first, second = pair
    apply(kubectl, own_host(kubectl))
    await until(lambda: kubectl.get("service", "demo"), QUICK)
    await first.quiet()
    assert not await is_leader(second)
    assert await second.get("/readyz") == (200, "ok\n")
    assert await second.writes() == 0
    first.process.kill()
    await wait_for_leader(second, seconds=TAKEOVER_SECONDS)
    kubectl("delete", "service", "demo")
    await until(lambda: kubectl.get("service", "demo"), QUICK)


async def test_another_candidate_leads_at_once_when_a_leader_stops(pair: tuple[Operator, Operator]) -> None:
    """A roll-out of the operator has no gap; SIGTERM ends a candidate as well as a leader."""
    first, second = pair
    assert await first.stop() == 0
    await wait_for_leader(second, seconds=5)
    await first.start()
    assert not await is_leader(first)
    assert await first.stop() == 0
    assert await is_leader(second)


async def test_a_paused_leader_writes_nothing_after_it_lost_the_lease(
    kubectl: Kubectl, pair: tuple[Operator, Operator]
) -> None:
    """When it resumes, it sees that a child is missing, but exits, to restart as a candidate."""
    first, second = pair
    apply(kubectl, own_host(kubectl))
    await until(lambda: kubectl.get("ingress", "demo"), QUICK)
    await first.quiet()
    first.process.send_signal(signal.SIGSTOP)
    await wait_for_leader(second, seconds=TAKEOVER_SECONDS)
    second.process.send_signal(signal.SIGSTOP)
    kubectl("delete", "service", "demo")
    first.process.send_signal(signal.SIGCONT)
    assert await asyncio.wait_for(first.process.wait(), 20) == 1
    assert "this operator has lost its lease" in first.log()
    assert kubectl.get("service", "demo") is None


async def test_events_alone_create_repair_and_prune_and_a_quiet_cluster_gets_no_write(
    kubectl: Kubectl, operator: Operator
) -> None:
    apply(kubectl, own_host(kubectl))
    await until(lambda: all(kubectl.get(kind, name) for kind, name in NAMES.items()), QUICK)
    kubectl("delete", "service", "demo")
    await until(lambda: kubectl.get("service", "demo"), QUICK)
    kubectl("label", "deployment", "demo", "app.kubernetes.io/managed-by-", "app.kubernetes.io/instance-")

    def labelled() -> bool:
        labels = existing(kubectl, "deployment", "demo")["metadata"]["labels"]
        return "app.kubernetes.io/managed-by" in labels

    await until(labelled, QUICK)
    apply(kubectl, {"ingress": {"enabled": False}})
    await until(lambda: kubectl.get("ingress", "demo") is None, QUICK)
    await until(lambda: workloads_are_observed(kubectl), QUICK)
    writes = await operator.quiet()
    kubectl("annotate", "mcq", "demo", "example.com/wakes=the-operator")
    assert await operator.quiet() == writes
    # config/rbac allows every watch and every write.
    assert "is forbidden: User" not in operator.log()


async def test_kopf_keeps_no_state_on_objects(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, own_host(kubectl))
    await until(lambda: "status" in existing(kubectl, "mcq", "demo"), QUICK)
    await operator.quiet()
    for kind, name in {**NAMES, "mcq": "demo"}.items():
        metadata = existing(kubectl, kind, name)["metadata"]
        assert set(metadata.get("finalizers", [])) <= {"kubernetes.io/pvc-protection"}
        assert not [key for key in metadata.get("annotations", {}) if "kopf" in key]
    assert kubectl("get", "events", "--field-selector", "source=kopf", "-o", "name") == ""


async def test_a_restarted_operator_resumes_and_repairs_only_drift(
    kubectl: Kubectl, operator: Operator
) -> None:
    apply(kubectl, own_host(kubectl))
    # The cluster's controllers must be done, too: the next operator would write what they change meanwhile.
    await until(lambda: all_created(kubectl), QUICK)
    await operator.quiet()
    assert await operator.stop() == 0
    await operator.start()
    assert await operator.quiet() == 0
    assert await operator.stop() == 0
    kubectl("delete", "service", "demo")
    await operator.start()
    await until(lambda: kubectl.get("service", "demo"), QUICK)


async def test_solvers_can_be_deleted_after_the_operator_has_stopped(
    kubectl: Kubectl, operator: Operator
) -> None:
    apply(kubectl, own_host(kubectl))
    await until(lambda: kubectl.get("poddisruptionbudget", "demo"), QUICK)
    await operator.quiet()
    assert await operator.stop() == 0
    kubectl("delete", "mcq", "demo", "--timeout=10s")
    kinds = ",".join([*NAMES, "replicaset", "pods"])
    selector = "app.kubernetes.io/managed-by=mcq-operator"
    await until(lambda: not kubectl("get", kinds, "-l", selector, "-o", "name").split(), seconds=45)


async def test_two_operators_serve_their_own_namespaces_and_have_no_rights_in_others(
    kubectl: Kubectl, cluster_kubectl: Kubectl, tmp_path: Path
) -> None:
    """Each runs in its first namespace, with the permissions that `python -m mcq_operator rbac` prints."""
    tenants = [[f"{kubectl.namespace}-a", f"{kubectl.namespace}-b"], [f"{kubectl.namespace}-c"]]
    operators = []
    all_namespaces = [namespace for namespaces in tenants for namespace in namespaces]
    try:
        for namespaces in tenants:
            for namespace in namespaces:
                cluster_kubectl("create", "namespace", namespace)
            home = namespaces[0]
            roles = await command_output(
                "rbac", "--home", home, *(f"--namespace={namespace}" for namespace in namespaces)
            )
            cluster_kubectl("apply", "-f", "-", stdin=roles)
            operator = Operator(
                operator_rights.kubeconfig(cluster_kubectl, tmp_path / f"{home}.kubeconfig", home=home),
                tmp_path / f"{home}.log",
                MCQ_OPERATOR_NAMESPACES=",".join(namespaces),
                MCQ_OPERATOR_LEASE=f"{home}/mcq-operator",
            )
            await operator.start()
            operators.append(operator)
        for namespace in (*all_namespaces, kubectl.namespace):
            other = Kubectl(kubectl.program, kubectl.kubeconfig, namespace)
            apply(other, own_host(other))
        for namespace in all_namespaces:
            other = Kubectl(kubectl.program, kubectl.kubeconfig, namespace)
            await until(lambda other=other: other.get("ingress", "demo"), QUICK)  # type: ignore[misc]
        assert kubectl.get("deployment", "demo") is None
        for operator in operators:
            await operator.quiet()
            assert "is forbidden: User" not in operator.log()
            assert await is_leader(operator)
        refused = cluster_kubectl.run(
            "annotate", "mcq", "demo", "mcq-operator.dev/promote=mallory: yes", "-n", tenants[0][0]
        )
        assert "must begin with the digest of the change" in refused.stderr
        user = f"system:serviceaccount:{tenants[0][0]}:mcq-operator"
        for verb, resource, namespace in (
            ("get", "secrets", tenants[0][0]),
            ("list", "services", tenants[1][0]),
            ("list", "mcqsolvers.mcq-operator.dev", kubectl.namespace),
            ("list", "customresourcedefinitions", tenants[0][0]),
        ):
            denied = cluster_kubectl.run("auth", "can-i", verb, resource, "--as", user, "-n", namespace)
            assert denied.stdout.strip() == "no", (verb, resource, namespace)
    finally:
        for operator in operators:
            await operator.stop()
        cluster_kubectl("delete", "namespace", *all_namespaces, "--wait=false")


async def command_output(*arguments: str) -> str:
    """Run a command of the operator and return its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mcq_operator", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()
