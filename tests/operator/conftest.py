"""A real API server for the tests that need one: etcd, kube-apiserver and kube-controller-manager, no node.

`MCQ_TEST_KUBECONFIG` names another one that is up already, which saves the start.
"""

import asyncio
import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hack.cluster.paths import CACHE
from hack.cluster.progress import Progress
from hack.cluster.tools import locked
from hack.control_plane.control_plane import ControlPlane
from hack.control_plane.instance import Instance
from hack.kubectl import wait_established
from kubernetes.aio import client, config
from tests.operator.support import IMAGE, NOON, OPERATOR_IMAGE

from mcq_operator.canary import Canaries
from mcq_operator.key_states import KeyStates
from mcq_operator.kube import Api, Cluster
from mcq_operator.models import Key, Manifest, SolverKey
from mcq_operator.models.kinds import RECONCILED
from mcq_operator.models.observed import Verdict
from mcq_operator.reconcile import Result, reconcile
from mcq_operator.startup import Startups

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Kubectl:
    """kubectl against the tests' API server, in a test's namespace."""

    program: Path
    kubeconfig: Path
    namespace: str = ""

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run it, whatever its exit status."""
        scope = [f"--namespace={self.namespace}"] if self.namespace else []
        return subprocess.run(
            [self.program, *scope, *arguments],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it and return what it printed; fails the test when it fails."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {arguments}: {done.stderr}"
        return done.stdout

    def get(self, kind: str, name: str) -> Manifest | None:
        """One object, or None."""
        found = self("get", kind, name, "--ignore-not-found", "-o", "json")
        return dict(json.loads(found)) if found else None


@pytest.fixture(scope="session")
def cluster_kubectl(worker_id: str) -> Iterator[Kubectl]:
    """kubectl against a running control plane that has the CRDs; each worker of pytest-xdist has its own."""
    name = f"operator-tests-{worker_id}"
    provider = ControlPlane(Instance(name), Progress())
    given = os.environ.get("MCQ_TEST_KUBECONFIG")
    if given:
        yield with_crds(Kubectl(provider.kubectl(), Path(given)))
        return
    # Another run of these tests on this machine has the same cluster: one after the other.
    with locked(CACHE / f"{name}.lock"):
        provider.down()  # what a run that was killed has left
        provider.up()
        yield with_crds(Kubectl(provider.kubectl(), provider.kubeconfig()))
        provider.down()


def with_crds(kubectl: Kubectl) -> Kubectl:
    """The same, once the API server knows the operator's kinds."""
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "config/crds"))
    crds = [f"{kind.plural}.{kind.group}" for kind in RECONCILED]
    wait_established(kubectl, crds)
    for crd in crds:
        kubectl("get", crd, "--all-namespaces")  # waits, as Established is said before they can be listed
    return kubectl


@pytest.fixture
def kubectl(cluster_kubectl: Kubectl) -> Iterator[Kubectl]:
    """kubectl in a namespace of this test's own."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    cluster_kubectl("create", "namespace", namespace)
    yield replace(cluster_kubectl, namespace=namespace)
    cluster_kubectl("delete", "namespace", namespace, "--wait=false")


@dataclass
class Bench:
    """The operator's reconcile, called by the test, against the real API server."""

    api: Api
    cluster: Cluster
    namespace: str
    verdict: Verdict = field(default_factory=lambda: Verdict(outcome="answered"))
    writes: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.canaries = self._canaries()
        self.startups = Startups(_unheard, clock=lambda: 0.0, learned=lambda _: None)
        self.key_states = KeyStates(_uncounted, learned=lambda _: None)

    @property
    def key(self) -> SolverKey:
        """The one solver of these tests."""
        return SolverKey(self.namespace, "demo")

    def restart(self) -> None:
        """Forget what an operator keeps in memory."""
        self.canaries = self._canaries()
        self.cluster = Cluster(self.api, namespaces=[self.namespace])

    async def reconcile(self, key: Key | None = None) -> list[tuple[str, str]]:
        """Reconcile the solver, or another key, once; returns the writes, as (kind, verb)."""
        await self.result(key)
        return list(self.writes)

    async def result(self, key: Key | None = None) -> Result:
        """Reconcile once; returns how it ended."""
        self.writes.clear()
        return await reconcile(
            key or self.key,
            cluster=self.cluster,
            canaries=self.canaries,
            startups=self.startups,
            key_states=self.key_states,
            service_image=IMAGE,
            operator_image=OPERATOR_IMAGE,
            now=lambda: NOON,
        )

    async def settle(self, key: Key | None = None) -> None:
        """Reconcile until nothing is written for a while: the cluster's controllers are done too."""
        quiet = 0
        for _ in range(100):
            quiet = 0 if await self.reconcile(key) else quiet + 1
            if quiet == 4:
                return
            await asyncio.sleep(0.1)
        message = f"still writing after a hundred reconciles: {self.writes}"
        raise AssertionError(message)

    def _canaries(self) -> Canaries:
        async def ask(_: SolverKey) -> Verdict:
            return self.verdict

        return Canaries(ask, clock=lambda: 0.0, learned=lambda _: None)


async def _unheard(_: str) -> str:
    return ""


async def _uncounted(_: str) -> None:
    return None


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Any]:
    """An API client of a kubeconfig."""
    settings = client.Configuration()
    await config.load_kube_config(config_file=str(kubeconfig), client_configuration=settings)
    async with client.ApiClient(configuration=settings) as api_client:
        yield api_client


@pytest.fixture
async def bench(kubectl: Kubectl) -> AsyncIterator[Bench]:
    """A reconcile in the test's namespace."""
    writes: list[tuple[str, str]] = []
    async with connected(kubectl.kubeconfig) as api_client:
        api = Api(api_client, wrote=lambda kind, verb: writes.append((kind, verb)))
        made = Bench(
            api=api,
            cluster=Cluster(api, namespaces=[kubectl.namespace]),
            namespace=kubectl.namespace,
            writes=writes,
        )
        yield made
        await made.canaries.close()
