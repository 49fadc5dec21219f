"""The kinds that the server lacks: discovered, and found absent by a write. The server is a fake."""

import json
from typing import Any

import pytest
from kubernetes.aio.client.exceptions import ApiException
from tests.operator.support import solver

from mcq_operator.api import Manifest
from mcq_operator.api.kinds import HTTP_ROUTE, OPTIONAL, RECONCILED, SERVICE_MONITOR, Kind, ref_of
from mcq_operator.client import Cluster
from mcq_operator.client.children import Children
from mcq_operator.client.discovery import Discovery
from mcq_operator.client.errors import cluster_error

MONITOR: Manifest = {
    "apiVersion": SERVICE_MONITOR.api_version,
    "kind": "ServiceMonitor",
    "metadata": {"namespace": "team", "name": "demo"},
}


class FakeServer:
    """A server that knows the kinds in `known`, and answers each write with 404 and `body`."""

    def __init__(self, body: str = "404 page not found") -> None:
        self.known: set[Kind] = {*RECONCILED, *OPTIONAL}
        self.body = body

    async def resources(self, api_version: str) -> frozenset[str]:
        return frozenset(kind.plural for kind in self.known if kind.api_version == api_version)

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        error = ApiException(status=404, reason="Not Found")
        error.body = self.body
        raise cluster_error(error)

    def forget(self, kind: Kind) -> None:
        pass


async def test_a_kind_that_a_write_found_absent_is_a_change_at_the_next_discovery() -> None:
    server: Any = FakeServer()
    discovery = Discovery(server)
    assert await discovery.refresh()
    discovery.mark_absent(HTTP_ROUTE)
    server.known.remove(HTTP_ROUTE)
    assert await discovery.refresh(), "the watch of the kind must end"
    assert not await discovery.refresh()


async def test_a_kind_that_was_absent_only_for_a_moment_is_a_change_at_the_next_discovery() -> None:
    server: Any = FakeServer()
    discovery = Discovery(server)
    await discovery.refresh()
    discovery.mark_absent(HTTP_ROUTE)
    assert await discovery.refresh()
    assert not discovery.absent


def not_found(**details: str) -> str:
    return json.dumps({"kind": "Status", "message": "not found", "reason": "NotFound", "details": details})


@pytest.mark.parametrize(
    ("body", "absent"),
    [
        ("404 page not found", True),
        (not_found(), True),
        (not_found(name="team", kind="namespaces"), False),
        (not_found(name="demo", kind="servicemonitors"), False),
    ],
)
async def test_only_the_answer_that_names_no_object_is_about_the_kind(body: str, absent: bool) -> None:
    server: Any = FakeServer(body)
    cluster = Cluster(server)
    await cluster.discover()
    await cluster.apply(solver(), {ref_of(MONITOR): MONITOR}, Children(live={}, pods=[]))
    assert (SERVICE_MONITOR in cluster.absent) is absent
