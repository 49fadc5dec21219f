"""Which hosts and paths of another namespace's Ingresses and HTTPRoutes a solver's way in would take from."""

import asyncio
from typing import Any, cast

import pytest

from mcq_operator.api import Manifest
from mcq_operator.api.kinds import HTTP_ROUTE, INGRESS, Kind, kind_of
from mcq_operator.api.routes import routes
from mcq_operator.client import UnavailableError
from mcq_operator.client.route_table import RouteTable


def ingress(host: str | None, path: str, *, how: str = "Prefix", namespace: str = "theirs") -> Manifest:
    rule: dict[str, Any] = {"http": {"paths": [{"path": path, "pathType": how}]}}
    if host is not None:
        rule["host"] = host
    return _object(INGRESS.api_version, "Ingress", namespace, {"rules": [rule]})


def route(
    hosts: list[str],
    path: str | None,
    *,
    how: str = "PathPrefix",
    namespace: str = "theirs",
    gateway: str = "g",
) -> Manifest:
    matches = [{"path": {"type": how, "value": path}}] if path else []
    spec = {
        "parentRefs": [{"name": gateway, "namespace": "gateways"}],
        "hostnames": hosts,
        "rules": [{"matches": matches}],
    }
    return _object(HTTP_ROUTE.api_version, "HTTPRoute", namespace, spec)


def _object(api_version: str, kind: str, namespace: str, spec: Manifest) -> Manifest:
    metadata = {"namespace": namespace, "name": "it", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def meets(ours: Manifest, theirs: Manifest) -> bool:
    return any(
        mine.meets(other) for mine in routes(kind_of(ours), ours) for other in routes(kind_of(theirs), theirs)
    )


@pytest.mark.parametrize(
    ("path", "theirs", "taken"),
    [
        ("/", ingress("a.example.com", "/"), True),
        ("/", ingress("a.example.com", "/app"), True),
        ("/zz/review", ingress("a.example.com", "/"), True),
        ("/app/deep", ingress("a.example.com", "/app/"), True),
        ("/app/", ingress("a.example.com", "/app"), True),
        ("/app", ingress("a.example.com", "/%61pp/deep"), True),
        ("/app2", ingress("a.example.com", "/app"), False),
        ("/app", ingress("a.example.com", "/app/x", how="Exact"), True),
        ("/app/x", ingress("a.example.com", "/app", how="Exact"), False),
        ("/app/x", ingress("a.example.com", "/app(/|$)(.*)", how="ImplementationSpecific"), True),
        ("/ap", ingress("a.example.com", "/a.*", how="ImplementationSpecific"), True),
        ("/other", ingress("a.example.com", "/app(/|$)(.*)", how="ImplementationSpecific"), False),
        ("/", ingress("b.example.com", "/"), False),
        ("/", ingress("*.example.com", "/"), True),
        ("/", ingress("*.com", "/app"), True),
        ("/", ingress("*.example.org", "/"), False),
        ("/", ingress("xa.example.com", "/"), False),
        # Who takes what is left over, as a default backend does, has no host of its own.
        ("/", ingress(None, "/"), False),
        ("/", route(["b.example.com", "a.example.com"], "/app"), True),
        ("/app", route(["*.example.com"], None), True),
        ("/app", route(["a.example.com"], "/app[0-9]+", how="RegularExpression"), True),
        ("/app", route(["a.example.com"], "/other"), False),
        ("/", route([], "/"), False),
    ],
)  # fmt: skip
def test_an_ingress_conflicts_with_an_overlapping_one_of_another_namespace(
    path: str, theirs: Manifest, taken: bool
) -> None:
    assert meets(ingress("a.example.com", path, namespace="ours"), theirs) is taken
    assert meets(route(["a.example.com"], path, namespace="ours"), theirs) is taken


@pytest.mark.parametrize(
    ("theirs", "taken"),
    [
        (route(["a.example.com"], "/app"), True),
        (route([], "/"), True),
        (route([], "/", gateway="other"), False),
        (route(["a.example.com"], "/other"), False),
        (ingress("a.example.com", "/app"), False),
    ],
)
def test_a_route_without_hostnames_takes_from_the_routes_of_its_gateways(
    theirs: Manifest, taken: bool
) -> None:
    assert meets(route([], "/app", namespace="ours"), theirs) is taken


@pytest.mark.parametrize(
    ("theirs", "same"),
    [
        (ingress("a.example.com", "/", namespace="ours"), True),
        (ingress("a.example.com", "/app", namespace="ours"), False),
        (route(["a.example.com"], "/", namespace="ours"), False),
    ],
)
def test_in_a_namespace_only_two_ingresses_with_one_path_conflict(theirs: Manifest, same: bool) -> None:
    assert meets(ingress("a.example.com", "/", namespace="ours"), theirs) is same


class Client:
    """Lists the given Ingresses, or fails."""

    def __init__(self) -> None:
        self.failing = False
        self.lists = 0

    async def list(self, kind: Kind, *, namespace: str | None) -> list[Manifest]:
        await asyncio.sleep(0)
        if self.failing:
            message = "500"
            raise UnavailableError(message)
        self.lists += 1
        return [ingress("a.example.com", "/")] if kind is INGRESS else []


async def test_reads_wait_for_the_current_list_of_routes_and_a_failed_list_is_repeated() -> None:
    client = Client()
    hosts = RouteTable(cast("Any", client), scopes=[None], clock=lambda: 0.0)
    mine = ingress("a.example.com", "/zz", namespace="ours")
    client.failing = True
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await hosts.rival(INGRESS, mine, None)
    client.failing = False
    actual = await asyncio.gather(*(hosts.rival(INGRESS, mine, None) for _ in range(5)))
    assert [rival and rival.ref for rival in actual] == ["Ingress theirs/it"] * 5
    assert client.lists == 2
