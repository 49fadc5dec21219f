"""Fixtures for both autoscalers and for the Prometheus that they query, on the local cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hack.cluster.kind import KindCluster
from hack.monitoring import NAMESPACE as STACK
from hack.monitoring import PROMETHEUS_ALONE, monitoring
from hack.toolchain.progress import Progress
from tests.e2e.autoscaling.installed import Keda, PrometheusAdapter
from tests.e2e.steady import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed

LINE_SECONDS = 0.25


@pytest.fixture(scope="session")
def prometheus(deployed: Deployed) -> Iterator[str]:
    """Yield the URL of the stack's Prometheus."""
    if not isinstance(deployed.provider, KindCluster):
        pytest.skip("the autoscalers are built for the local cluster's registry")
    monitoring(deployed, Progress(quiet=True), only=PROMETHEUS_ALONE)
    yield "http://prometheus-operated.monitoring.svc:9090"
    deployed.kubectl("delete", "namespace", STACK, "--wait=false")


@pytest.fixture(scope="session")
def engine(deployed: Deployed, prometheus: str) -> Iterator[str]:
    """Yield an engine that writes a reasoning line slowly, so that questions queue."""
    assert isinstance(deployed.provider, KindCluster)
    with serving(deployed.provider.host_address(), seconds=LINE_SECONDS) as address:
        yield address


@pytest.fixture(scope="session")
def keda(deployed: Deployed, prometheus: str) -> Iterator[Keda]:
    """Yield KEDA before its installation; remove it afterwards."""
    assert isinstance(deployed.provider, KindCluster)
    keda = Keda(deployed.provider, deployed.kubectl)
    keda.remove()
    yield keda
    keda.remove()


@pytest.fixture(scope="session")
def adapter(deployed: Deployed, prometheus: str) -> Iterator[PrometheusAdapter]:
    """Yield prometheus-adapter before its installation; remove it afterwards."""
    assert isinstance(deployed.provider, KindCluster)
    adapter = PrometheusAdapter(deployed.provider, deployed.kubectl)
    adapter.remove()
    yield adapter
    adapter.remove()
