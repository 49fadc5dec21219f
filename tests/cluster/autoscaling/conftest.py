"""Both kinds of autoscalers and the stack's Prometheus, which they ask, on the local cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hack.cluster.kind import KindCluster
from hack.cluster.progress import Progress
from hack.monitoring import NAMESPACE as STACK
from hack.monitoring import PROMETHEUS_ALONE, monitoring
from tests.cluster.autoscaling.installed import Keda, PrometheusAdapter
from tests.cluster.steady import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed

LINE_SECONDS = 0.25


@pytest.fixture(scope="session")
def prometheus(deployed: Deployed) -> Iterator[str]:
    """The address of the stack's Prometheus."""
    if not isinstance(deployed.provider, KindCluster):
        pytest.skip("the autoscalers are built for the local cluster's registry")
    monitoring(deployed, Progress(quiet=True), only=PROMETHEUS_ALONE)
    yield "http://prometheus-operated.monitoring.svc:9090"
    deployed.kubectl("delete", "namespace", STACK, "--wait=false")


@pytest.fixture(scope="session")
def engine(deployed: Deployed, prometheus: str) -> Iterator[str]:
    """An engine that takes a while for a line of reasoning, so that questions queue."""
    assert isinstance(deployed.provider, KindCluster)
    with serving(deployed.provider.host_address(), seconds=LINE_SECONDS) as address:
        yield address


@pytest.fixture(scope="session")
def keda(deployed: Deployed, prometheus: str) -> Iterator[Keda]:
    """KEDA, not yet installed; it is gone afterwards."""
    assert isinstance(deployed.provider, KindCluster)
    found = Keda(deployed.provider, deployed.kubectl)
    found.remove()
    yield found
    found.remove()


@pytest.fixture(scope="session")
def adapter(deployed: Deployed, prometheus: str) -> Iterator[PrometheusAdapter]:
    """prometheus-adapter, not yet installed; it is gone afterwards."""
    assert isinstance(deployed.provider, KindCluster)
    found = PrometheusAdapter(deployed.provider, deployed.kubectl)
    found.remove()
    yield found
    found.remove()
