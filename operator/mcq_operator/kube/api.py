"""Requests to the API server: five verbs, typed errors, and a count of every write."""

from collections.abc import Callable
from typing import Any

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import ConfigException
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.resource import Resource

from mcq_operator.models import FIELD_MANAGER, Manifest
from mcq_operator.models.kinds import Kind, kind_of

from .errors import UnavailableError, cluster_error

TIMEOUT = aiohttp.ClientTimeout(total=30)
NOT_FOUND = 404


async def connect(*, connections: int) -> Any:
    """A client from the Pod's service account or, outside a cluster, from KUBECONFIG."""
    settings = client.Configuration()
    settings.connection_pool_maxsize = connections
    try:
        config.load_incluster_config(client_configuration=settings)
    except ConfigException:
        await config.load_kube_config(client_configuration=settings)
    return client.ApiClient(configuration=settings)


class Api:
    """The API server, for the kinds in the operator's table.

    Paths come from that table, not from discovery, which would ask for, and cache in a file, what is known.
    """

    def __init__(self, api_client: Any, *, wrote: Callable[[str, str], None]) -> None:
        """Speak through `api_client`; `wrote(kind, verb)` is called for each accepted write."""
        self._dynamic = DynamicClient(api_client)
        self._wrote = wrote

    async def get(self, kind: Kind, *, namespace: str, name: str) -> Manifest | None:
        """One object, or None. Raises ClusterError."""
        return await self._request("get", _path(kind, namespace, name), missing_ok=True)

    async def list(self, kind: Kind, *, namespace: str | None, selector: str | None = None) -> list[Manifest]:
        """All objects of a namespace, or of all, that have the labels. Raises ClusterError."""
        found = await self._request("get", _path(kind, namespace), label_selector=selector, missing_ok=True)
        return list(found["items"]) if found else []

    async def apply(self, manifest: Manifest, *, force: bool) -> Manifest:
        """Server-side apply; returns the object as stored. Raises ClusterError.

        Without `force`, a field that someone else owns with another value is a ConflictError.
        """
        return await self._apply(manifest, subresource="", force=force)

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """Server-side apply of the status subresource. Raises ClusterError."""
        return await self._apply(manifest, subresource="/status", force=True)

    async def delete(self, kind: Kind, *, namespace: str, name: str, uid: str) -> None:
        """Delete the very object with this uid, if it is still there. Raises ClusterError."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        path = _path(kind, namespace, name)
        if await self._request("delete", path, body=body, missing_ok=True) is not None:
            self._wrote(kind.kind, "delete")

    async def _apply(self, manifest: Manifest, *, subresource: str, force: bool) -> Manifest:
        kind = kind_of(manifest)
        metadata = manifest["metadata"]
        stored = await self._request(
            "patch",
            _path(kind, metadata["namespace"], metadata["name"]) + subresource,
            body=manifest,
            content_type="application/apply-patch+yaml",
            field_manager=FIELD_MANAGER,
            force_conflicts=force,
        )
        if stored is None:
            message = f"{kind.kind} {metadata['name']}: the API server returned nothing"
            raise UnavailableError(message)
        self._wrote(kind.kind, "apply" + subresource.replace("/", "_"))
        return stored

    async def _request(
        self, method: str, path: str, *, missing_ok: bool = False, **parameters: Any
    ) -> Manifest | None:
        try:
            response = await self._dynamic.request(
                method, path, serialize=False, _request_timeout=TIMEOUT, **parameters
            )
            content: Manifest = await response.json()
        except ApiException as error:
            if missing_ok and error.status == NOT_FOUND:
                return None
            raise cluster_error(error) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            message = f"the API server can't be reached: {error!r}"
            raise UnavailableError(message) from error
        return content


def _path(kind: Kind, namespace: str | None, name: str | None = None) -> str:
    resource = Resource(
        prefix="apis" if kind.group else "api",
        group=kind.group,
        api_version=kind.version,
        kind=kind.kind,
        name=kind.plural,
        namespaced=True,
    )
    return str(resource.path(name=name, namespace=namespace))
