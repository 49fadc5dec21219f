"""A real API server for the tests that need one: etcd, kube-apiserver and kube-controller-manager, without nodes.

All workers of pytest-xdist share it, and each test has its own namespace. Tests that change cluster-wide objects (the
CRDs, the installed operator) use another API server, `apart_kubectl`, and form one group of pytest-xdist.
"""

import asyncio
import hashlib
import itertools
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hack.control_plane.control_plane import ControlPlane
from hack.control_plane.instance import Instance
from hack.kubectl import wait_established
from hack.toolchain.paths import CACHE
from hack.toolchain.progress import Progress
from hack.toolchain.tools import locked
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config
from tests.operator.server import Server
from tests.operator.support import (
    IMAGES,
    INSTALLATION,
    NOON,
    is_first_status_due,
    list_all,
    no_key_count,
    no_load_progress,
)

from mcq_operator.api import Key, Manifest, SolverKey
from mcq_operator.api.kinds import POLICY, RECONCILED
from mcq_operator.api.observed import CanaryVerdict
from mcq_operator.client import CachedClient, Client, Cluster
from mcq_operator.controllers import Result, reconcile
from mcq_operator.controllers.upgrades import Upgrades
from mcq_operator.desired import ServiceImages
from mcq_operator.probes.api_keys import APIKeyProber
from mcq_operator.probes.canary import CanaryProber
from mcq_operator.probes.load_progress import LoadProgressProber
from mcq_operator.probes.probers import Probers
from mcq_operator.probes.traffic import ReplicaTraffic, TrafficProber

ROOT = Path(__file__).resolve().parents[2]
RUNNING = pytest.StashKey[ExitStack]()

CONTROL_PLANE = f"operator-tests-{hashlib.sha256(__file__.encode()).hexdigest()[:8]}"
"""Each checkout has its own, so the tests of two checkouts can run at the same time."""


def pytest_configure_node(node: Any) -> None:
    """Start the API server for all workers, before pytest-xdist starts the first."""
    config = node.config
    if RUNNING not in config.stash:
        stack = config.stash[RUNNING] = ExitStack()
        stack.enter_context(control_plane(CONTROL_PLANE))
    node.workerinput["control_plane"] = CONTROL_PLANE


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the API server after the last worker."""
    if RUNNING in config.stash:
        config.stash[RUNNING].close()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run one group on several workers, which some releases of pytest and pytest-xdist do silently."""
    if session.config.getoption("loadgroup", default=False):
        for item in session.items:
            if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
                message = (
                    f"pytest-xdist does not keep the group of {item.nodeid}: check its release and pytest's"
                )
                raise pytest.UsageError(message)


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the tests' API server, in a test's namespace."""

    program: Path
    kubeconfig: Path
    namespace: str = ""

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return its exit status and output."""
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
        """Run kubectl and return its output; fail the test if kubectl fails."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {arguments}: {done.stderr}"
        return done.stdout

    @property
    def server(self) -> Server:
        """The same API server, over one connection for all tests of this process."""
        return _server(self.kubeconfig)

    def get(self, kind: str, name: str) -> Manifest | None:
        """Return an object, or None."""
        return self.server.get(kind, name, self.namespace)

    def list(self, kind: str, labels: str = "") -> list[Manifest]:
        """Return the objects with these labels."""
        return self.server.list(kind, self.namespace, labels)


@cache
def _server(kubeconfig: Path) -> Server:
    return Server(kubeconfig)


@contextmanager
def control_plane(name: str) -> Iterator[Kubectl]:
    """Start a control plane with the CRDs and yield its kubectl."""
    provider = ControlPlane(Instance(name), Progress())
    # Another run of these tests in this checkout uses the same control plane: wait for its end.
    with locked(CACHE / f"{name}.lock"):
        provider.down()  # a killed run may have left one
        provider.up()
        yield install_crds(Kubectl(provider.kubectl(), provider.kubeconfig()))
        provider.down()


@pytest.fixture(scope="session")
def cluster_kubectl(request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """kubectl with the control plane that all workers share."""
    shared = getattr(request.config, "workerinput", {}).get("control_plane")
    if shared:
        provider = ControlPlane(Instance(shared), Progress())
        yield Kubectl(provider.kubectl(), provider.kubeconfig())
    else:
        with control_plane(CONTROL_PLANE) as kubectl:
            yield kubectl


@pytest.fixture(scope="session")
def apart_kubectl() -> Iterator[Kubectl]:
    """kubectl with a second control plane, for tests that change cluster-wide objects."""
    with control_plane(f"{CONTROL_PLANE}-apart") as kubectl:
        yield kubectl


def install_crds(kubectl: Kubectl) -> Kubectl:
    """Apply the operator's CRDs, wait until the API server serves them, and return kubectl."""
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "config/crds"))
    crds = [f"{kind.plural}.{kind.group}" for kind in (*RECONCILED, POLICY)]
    wait_established(kubectl, crds)
    for crd in crds:
        kubectl("get", crd, "--all-namespaces")  # waits: a CRD is Established before its kind can be listed
    return kubectl


@pytest.fixture
def kubectl(cluster_kubectl: Kubectl) -> Iterator[Kubectl]:
    """kubectl in this test's own namespace."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    cluster_kubectl.server.create_namespace(namespace)
    yield replace(cluster_kubectl, namespace=namespace)
    cluster_kubectl.server.delete_namespace(namespace)


def workloads_are_observed(kubectl: Kubectl) -> bool:
    """Return whether the cluster's controllers have created the Deployments' Pods, if allowed, and counted them."""
    deployments, replica_sets = kubectl.list("deployments"), kubectl.list("replicasets")
    counts = {each["metadata"]["name"]: 0 for each in deployments}
    for each in replica_sets:
        replicas = each["status"].get("replicas", 0)
        refused = any(
            condition["type"] == "ReplicaFailure" for condition in each["status"].get("conditions", [])
        )
        if replicas != each["spec"]["replicas"] and not refused:
            return False
        for owner in each["metadata"].get("ownerReferences", []):
            counts[owner["name"]] = counts.get(owner["name"], 0) + replicas
    return all(
        each.get("status", {}).get("observedGeneration") == each["metadata"]["generation"]
        and each["status"].get("replicas", 0) == counts[each["metadata"]["name"]]
        for each in deployments
    )


@dataclass
class Bench:
    """The operator's reconcile, called by the test, with the real API server.

    As in the operator, the store answers reads. Lists before each reconcile feed it instead of watches, so a test
    knows what the reconcile has observed.
    """

    connect: Callable[[], CachedClient]
    kubectl: Kubectl
    verdict: CanaryVerdict = field(default_factory=lambda: CanaryVerdict(outcome="answered"))
    writes: list[tuple[str, str]] = field(default_factory=list)
    now: datetime = NOON
    images: ServiceImages = IMAGES
    replica_traffic: ReplicaTraffic | None = None

    def __post_init__(self) -> None:
        self.restart()
        self.upgrades = Upgrades(release="golden", at_once=1, requeue=lambda _: None)

    async def _ask_traffic(self, _: str) -> ReplicaTraffic | None:
        return self.replica_traffic

    @property
    def namespace(self) -> str:
        """The test's namespace."""
        return self.kubectl.namespace

    @property
    def key(self) -> SolverKey:
        """The key of the test's solver."""
        return SolverKey(self.namespace, "demo")

    def restart(self, *others: str) -> None:
        """Restart with an empty memory, and serve the namespaces `others`, too."""
        self.probers = Probers(
            canary=self._canary_prober(),
            load_progress=LoadProgressProber(no_load_progress, clock=lambda: 0.0, requeue=lambda _: None),
            api_keys=APIKeyProber(no_key_count, requeue=lambda _: None),
            # Each reconcile asks again.
            traffic=TrafficProber(
                self._ask_traffic, clock=itertools.count(step=100).__next__, requeue=lambda _: None
            ),
        )
        self.client = self.connect()
        self.cluster = Cluster(self.client, namespaces=[self.namespace, *others])

    async def reconcile(self, key: Key | None = None) -> list[tuple[str, str]]:
        """Reconcile the solver, or another key, once; return the writes as (kind, verb)."""
        await self.result(key)
        return list(self.writes)

    async def result(self, key: Key | None = None) -> Result:
        """Reconcile once, and again if the first status is still due; return the result."""
        self.writes.clear()
        result = await self._reconcile(key)
        return await self._reconcile(key) if is_first_status_due(result) else result

    async def _reconcile(self, key: Key | None) -> Result:
        await list_all(self.client, self.cluster, self.namespace)
        return await reconcile(
            key or self.key,
            cluster=self.cluster,
            probers=self.probers,
            upgrades=self.upgrades,
            installation=replace(INSTALLATION, images=self.images),
            now=lambda: self.now,
        )

    async def settle(self, key: Key | None = None) -> None:
        """Reconcile until nothing is written four times in a row, and the cluster's controllers are done."""
        quiet = 0
        for _ in range(100):
            done = workloads_are_observed(self.kubectl)
            quiet = quiet + 1 if not await self.reconcile(key) and done else 0
            if quiet == 4:
                return
            await asyncio.sleep(0.1)
        message = f"still writing after a hundred reconciles: {self.writes}"
        raise AssertionError(message)

    def _canary_prober(self) -> CanaryProber:
        async def ask(_: SolverKey) -> CanaryVerdict:
            return self.verdict

        return CanaryProber(ask, clock=lambda: 0.0, requeue=lambda _: None)


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Any]:
    """Yield an API client for a kubeconfig."""
    settings = kubernetes_client.Configuration()
    await config.load_kube_config(config_file=str(kubeconfig), client_configuration=settings)
    async with kubernetes_client.ApiClient(configuration=settings) as api_client:
        yield api_client


@pytest.fixture
async def client(kubectl: Kubectl) -> AsyncIterator[Client]:
    """A client without a store, as the Lease and the commands use it."""
    async with connected(kubectl.kubeconfig) as api_client:
        yield Client(api_client, on_write=lambda *_: None)


@pytest.fixture
async def bench(kubectl: Kubectl) -> AsyncIterator[Bench]:
    """The operator's reconcile in the test's namespace."""
    writes: list[tuple[str, str]] = []
    async with connected(kubectl.kubeconfig) as api_client:
        bench = Bench(
            connect=lambda: CachedClient(api_client, on_write=lambda kind, verb: writes.append((kind, verb))),
            kubectl=kubectl,
            writes=writes,
        )
        yield bench
        await bench.probers.close()
