"""The cluster accepts a webhook's changes, and classifies the API server's errors."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from kubernetes.aio.client.exceptions import ApiException
from tests.operator.support import INSTALLATION, solver

from mcq_operator import desired
from mcq_operator.api import Manifest, ObjectRef, SolverKey
from mcq_operator.api.kinds import EXAM, INGRESS, SERVICE, Kind, ref_of
from mcq_operator.client import Cluster, ConflictError, RefusedError, UnavailableError
from mcq_operator.client.children import Children
from mcq_operator.client.errors import cluster_error


class Mirror:
    """An API server with a webhook that replaces every image by a mirror's."""

    def __init__(self) -> None:
        self.applied = 0

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        return await self.apply(manifest, force=False)

    async def apply(self, manifest: Manifest, *, force: bool) -> Manifest:
        self.applied += 1
        stored: Manifest = json.loads(json.dumps(manifest))
        stored["metadata"]["uid"] = "u"
        for container in stored["spec"]["template"]["spec"]["containers"]:
            container["image"] = "mirror/" + container["image"]
        return stored


def desired_objects() -> dict[ObjectRef, Manifest]:
    objects = desired.objects(solver(), INSTALLATION)
    return {ref_of(item): item for item in objects if item["kind"] == "Deployment"}


async def test_the_operator_accepts_a_webhooks_change_and_repairs_any_other() -> None:
    mirror: Any = Mirror()
    cluster = Cluster(mirror)

    async def reconcile(live: dict[ObjectRef, Manifest]) -> dict[ObjectRef, Manifest]:
        return (await cluster.apply(solver(), desired_objects(), Children(live=live, pods=[]))).live

    live = await reconcile({})
    for _ in range(3):
        live = await reconcile(live)
    assert mirror.applied == 1
    (deployment,) = live.values()
    deployment["spec"]["replicas"] = 1
    live = await reconcile(live)
    assert mirror.applied == 2
    (deployment,) = live.values()
    assert deployment["spec"]["replicas"] == 3


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, '{"message": "exceeded quota"}', RefusedError),
        (422, '{"message": "invalid"}', RefusedError),
        (409, '{"message": "conflict"}', ConflictError),
        (429, "slow down", UnavailableError),
        (500, '{"message": "etcd is gone"}', UnavailableError),
        (500, '{"message": "failed to create typed patch object: no such field"}', RefusedError),
        (503, "", UnavailableError),
    ],
)
def test_an_errors_type_says_what_to_do_and_its_message_quotes_the_server(
    status: int, body: str, kind: type[Exception]
) -> None:
    error = ApiException(status=status, reason="Because")
    error.body = body
    actual = cluster_error(error)
    assert type(actual) is kind
    message = json.loads(body)["message"] if body.startswith("{") else body or "Because"
    assert message in str(actual)


class Refusing:
    """An API server that refuses the lists of some namespaces, as after the deletion of a namespace and its Role."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)

    def _check(self, namespace: str | None) -> str:
        if namespace in self.refused:
            raise RefusedError("forbidden: User cannot list resource")
        return namespace or "all"

    async def list(self, kind: Kind, *, namespace: str | None, **_: object) -> list[Manifest]:
        name = self._check(namespace)
        return [] if kind is EXAM else [{"metadata": {"namespace": name, "name": "demo"}, "spec": {}}]

    async def pages(self, kind: Kind, *, namespace: str | None) -> AsyncIterator[Sequence[Manifest]]:
        yield await self.list(kind, namespace=namespace)

    async def versions(self, _: Kind, *, namespace: str | None, **__: object) -> dict[tuple[str, str], int]:
        return {(self._check(namespace), "demo"): 7}

    def listed(self, _: Kind, namespace: str | None) -> bool:
        return namespace not in self.refused


async def test_an_unreadable_namespace_does_not_hide_the_others(caplog: pytest.LogCaptureFixture) -> None:
    server: Any = Refusing("gone")
    cluster = Cluster(server, namespaces=["gone", "team"])
    assert cluster.unlisted()
    for _ in range(2):
        assert await cluster.keys() == [SolverKey("team", "demo")]
        assert await cluster.versions(SERVICE) == {("team", "demo"): 7}
    assert cluster.unreadable(SERVICE) == {"gone"}
    assert caplog.text.count("can't list services in namespace gone") == 1
    for kind in cluster.unlisted():
        await cluster.versions(kind)
    assert not cluster.unlisted()
    new = {"metadata": {"namespace": "team", "name": "new"}, "spec": {}}
    assert await cluster.routes.rival(INGRESS, new, None) is None

    server.refused.clear()
    assert await cluster.keys() == [SolverKey("gone", "demo"), SolverKey("team", "demo")]
    await cluster.versions(SERVICE)
    assert cluster.unreadable(SERVICE) == set()


@pytest.mark.parametrize("namespaces", [[], ["gone"], ["gone", "lost"]])
async def test_missing_permissions_are_an_error(namespaces: list[str]) -> None:
    server: Any = Refusing("gone", "lost")
    if not namespaces:
        server._check = Refusing(None)._check  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match="forbidden"):
        await Cluster(server, namespaces=namespaces).keys()
