"""A solver's Ingress or HTTPRoute conflicts with another namespace's routes for the same host and path."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from mcq_operator.api import Manifest
from mcq_operator.api.kinds import HTTP_ROUTE, INGRESS, Kind, kind_of
from mcq_operator.client import UnavailableError
from mcq_operator.client.client import Client
from mcq_operator.client.errors import AnswerTooLongError
from mcq_operator.client.route_table import RouteTable
from mcq_operator.client.scopes import Scopes


def ingress(host: str | None, path: str, *, path_type: str = "Prefix", namespace: str = "theirs") -> Manifest:
    rule: dict[str, Any] = {"http": {"paths": [{"path": path, "pathType": path_type}]}}
    if host is not None:
        rule["host"] = host
    return _object(INGRESS.api_version, "Ingress", namespace, {"rules": [rule]})


def route(
    hosts: list[str],
    path: str | None,
    *,
    path_type: str = "PathPrefix",
    namespace: str = "theirs",
    gateway: str = "g",
) -> Manifest:
    matches = [{"path": {"type": path_type, "value": path}}] if path else []
    spec = {
        "parentRefs": [{"name": gateway, "namespace": "gateways"}],
        "hostnames": hosts,
        "rules": [{"matches": matches}],
    }
    return _object(HTTP_ROUTE.api_version, "HTTPRoute", namespace, spec)


def _object(api_version: str, kind: str, namespace: str, spec: Manifest) -> Manifest:
    metadata = {"namespace": namespace, "name": "it", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


class Listing:
    """A client that lists one object, or fails."""

    def __init__(self, listed: Manifest) -> None:
        self.listed = listed
        self.failing = False
        self.lists = 0

    async def pages(self, kind: Kind, *, namespace: str | None) -> AsyncIterator[list[Manifest]]:
        await asyncio.sleep(0)
        if self.failing:
            message = "500"
            raise UnavailableError(message)
        self.lists += kind is INGRESS
        yield [self.listed] if kind is kind_of(self.listed) else []


def table_of(client: Listing) -> RouteTable:
    return RouteTable(cast("Any", client), scopes=Scopes(), clock=lambda: 0.0)


async def conflicting(ours: Manifest, theirs: Manifest) -> bool:
    new = {**ours, "metadata": {**ours["metadata"], "name": "ours"}}
    return await table_of(Listing(theirs)).rival(kind_of(new), new, None) is not None


@pytest.mark.parametrize(
    ("path", "theirs", "conflict"),
    [
        ("/", ingress("a.example.com", "/"), True),
        ("/", ingress("a.example.com", "/app"), True),
        ("/zz/review", ingress("a.example.com", "/"), True),
        ("/app/deep", ingress("a.example.com", "/app/"), True),
        ("/app/", ingress("a.example.com", "/app"), True),
        ("/app", ingress("a.example.com", "/%61pp/deep"), True),
        ("/app2", ingress("a.example.com", "/app"), False),
        ("/app", ingress("a.example.com", "/app/x", path_type="Exact"), True),
        ("/app/x", ingress("a.example.com", "/app", path_type="Exact"), False),
        ("/app/x", ingress("a.example.com", "/app(/|$)(.*)", path_type="ImplementationSpecific"), True),
        ("/ap", ingress("a.example.com", "/a.*", path_type="ImplementationSpecific"), True),
        ("/other", ingress("a.example.com", "/app(/|$)(.*)", path_type="ImplementationSpecific"), False),
        ("/", ingress("b.example.com", "/"), False),
        ("/", ingress("*.example.com", "/"), True),
        ("/", ingress("*.com", "/app"), True),
        ("/", ingress("*.example.org", "/"), False),
        ("/", ingress("xa.example.com", "/"), False),
        # A rule without a host takes only the requests that no other rule takes, as a default backend does.
        ("/", ingress(None, "/"), False),
        ("/", route(["b.example.com", "a.example.com"], "/app"), True),
        ("/app", route(["*.example.com"], None), True),
        ("/app", route(["a.example.com"], "/app[0-9]+", path_type="RegularExpression"), True),
        ("/app", route(["a.example.com"], "/other"), False),
        ("/", route([], "/"), False),
    ],
)  # fmt: skip
async def test_a_route_conflicts_with_an_overlapping_one_of_another_namespace(
    path: str, theirs: Manifest, conflict: bool
) -> None:
    assert await conflicting(ingress("a.example.com", path, namespace="ours"), theirs) is conflict
    assert await conflicting(route(["a.example.com"], path, namespace="ours"), theirs) is conflict


@pytest.mark.parametrize(
    ("host", "conflict"), [("a.example.com", True), ("*.a.example.com", True), ("a.example.org", False)]
)
async def test_a_wildcard_conflicts_with_the_hosts_that_it_matches(host: str, conflict: bool) -> None:
    assert await conflicting(route(["*.example.com"], "/", namespace="ours"), ingress(host, "/")) is conflict


@pytest.mark.parametrize(
    ("theirs", "conflict"),
    [
        (route(["a.example.com"], "/app"), True),
        (route([], "/"), True),
        (route([], "/", gateway="other"), False),
        (route(["a.example.com"], "/other"), False),
        (ingress("a.example.com", "/app"), False),
    ],
)
async def test_a_route_without_hostnames_conflicts_with_the_routes_of_its_gateways(
    theirs: Manifest, conflict: bool
) -> None:
    assert await conflicting(route([], "/app", namespace="ours"), theirs) is conflict


@pytest.mark.parametrize(
    ("theirs", "conflict"),
    [
        (ingress("a.example.com", "/", namespace="ours"), True),
        (ingress("a.example.com", "/app", namespace="ours"), False),
        (route(["a.example.com"], "/", namespace="ours"), False),
    ],
)
async def test_in_a_namespace_only_two_ingresses_with_one_path_conflict(
    theirs: Manifest, conflict: bool
) -> None:
    assert await conflicting(ingress("a.example.com", "/", namespace="ours"), theirs) is conflict


async def test_reads_wait_for_the_current_list_of_routes_and_a_failed_list_is_repeated() -> None:
    client = Listing(ingress("a.example.com", "/"))
    table = table_of(client)
    ours = ingress("a.example.com", "/zz", namespace="ours")
    client.failing = True
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await table.rival(INGRESS, ours, None)
    client.failing = False
    actual = await asyncio.gather(*(table.rival(INGRESS, ours, None) for _ in range(5)))
    assert [rival and rival.ref for rival in actual] == ["Ingress theirs/it"] * 5
    assert client.lists == 1


class LargeObjects:
    """A server with two Ingresses; it sends at most one in a page, and no page with a limit above `longest`."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.limits: list[int] = []

    async def send(
        self, method: str, path: str, *, query: dict[str, str], decode: Callable[[bytes], Any], **_: Any
    ) -> Any:
        if "ingresses" not in path:
            return decode(b'{"metadata": {}, "items": null}')
        limit = int(query["limit"])
        self.limits.append(limit)
        if limit > self.longest:
            raise AnswerTooLongError(path)
        last = query.get("continue") == "second"
        item = ingress("b.example.com" if last else "a.example.com", "/")
        item["metadata"] |= {"annotations": {"large": "x" * 1000}, "managedFields": [{"manager": "them"}]}
        metadata = {"resourceVersion": "7", **({} if last else {"continue": "second"})}
        return decode(json.dumps({"metadata": metadata, "items": [item]}).encode())


@pytest.mark.parametrize(("longest", "limits"), [(100, [100, 100]), (30, [100, 50, 25, 25])])
async def test_a_list_of_large_ingresses_is_read_in_short_pages(longest: int, limits: list[int]) -> None:
    server, client = LargeObjects(longest), Client(object())
    client._transport = cast("Any", server)
    for host in "a.example.com", "b.example.com":
        ours = ingress(host, "/", namespace="ours")
        table = RouteTable(client, scopes=Scopes(), clock=lambda: 0.0)
        assert await table.rival(INGRESS, ours, None)
        assert server.limits == limits
        server.limits.clear()
    [page] = [page async for page in client.pages(INGRESS, namespace=None)][:1]
    assert page[0].keys() == {"metadata", "spec"}
    assert "annotations" not in page[0]["metadata"]


async def test_an_object_that_is_too_large_by_itself_is_an_error() -> None:
    client = Client(object())
    client._transport = cast("Any", LargeObjects(0))
    with pytest.raises(AnswerTooLongError):
        [page async for page in client.pages(INGRESS, namespace=None)]
