"""The cluster accepts a webhook's changes, and classifies the API server's errors."""

import json
from typing import Any

import pytest
from kubernetes.aio.client.exceptions import ApiException
from tests.operator.support import IMAGES, OPERATOR_IMAGE, solver

from mcq_operator import desired
from mcq_operator.api import Manifest, ObjectRef
from mcq_operator.api.kinds import Kind, ref_of
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
    objects = desired.objects(solver(), images=IMAGES, operator_image=OPERATOR_IMAGE)
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
