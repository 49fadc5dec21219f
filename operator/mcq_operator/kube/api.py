"""Requests to the API server: five verbs, typed errors, and a count of every write."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from opentelemetry import trace

from mcq_operator.models import FIELD_MANAGER, Manifest
from mcq_operator.models.kinds import EXAM, Kind, kind_of

from .errors import NotFoundError, NotLeadingError, UnavailableError
from .transport import Transport

TRACER = trace.get_tracer("mcq_operator.kube")
TIMEOUT_SECONDS = 30.0
WRITE_SECONDS = 40.0
"""Longer than the server itself waits for its webhooks (34 s), so that it is the server who says that one failed."""
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
NO_VERSION = "1"
"""Of an empty store's first revision, in which nothing was written."""


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    namespace: str
    resource_version: str


class _Object(msgspec.Struct):
    metadata: _Metadata


class _Listed(msgspec.Struct):
    # Of an empty list the server makes null where only metadata are asked for.
    items: list[_Object] | None = None


_VERSIONS = msgspec.json.Decoder(_Listed).decode
"""Most of an object's metadata are managedFields; of thousands of objects they are not even made."""


class Api:
    """The API server, for the kinds in the operator's table.

    Paths come from that table, not from discovery, which would ask for, and cache in a file, what is known.
    """

    def __init__(
        self,
        api_client: Any,
        *,
        wrote: Callable[[str, str], None],
        sent: Callable[[str], None] = lambda _: None,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """Speak through `api_client`.

        Args:
            api_client: from `connect`.
            wrote: called with kind and verb for each accepted write, but for replacements of the lease.
            sent: called with the HTTP method of each request.
            may_write: asked right before each of them; a False raises NotLeadingError.

        """
        self._transport = Transport(api_client)
        self._wrote = wrote
        self._sent = sent
        self._may_write = may_write

    async def get(
        self, kind: Kind, *, namespace: str, name: str, seconds: float = TIMEOUT_SECONDS
    ) -> Manifest | None:
        """One object, or None. Raises ClusterError."""
        return await self.ask(kind, namespace=namespace, name=name, seconds=seconds)

    async def ask(
        self, kind: Kind, *, namespace: str, name: str, seconds: float = TIMEOUT_SECONDS
    ) -> Manifest | None:
        """The same, always from the server itself. Raises ClusterError."""
        path = kind.path(namespace, name)
        found: Manifest | None = await self._request("get", path, missing_ok=True, seconds=seconds)
        return found

    async def create(self, kind: Kind, manifest: Manifest, *, seconds: float = TIMEOUT_SECONDS) -> Manifest:
        """Make an object that is no resource's child. Raises ClusterError, ConflictError if it is there."""
        self._only_if_leading()
        path = kind.path(manifest["metadata"]["namespace"])
        made = await self._stored("post", path, manifest, seconds=seconds)
        self._wrote(kind.kind, "create")
        return made

    async def replace(self, kind: Kind, manifest: Manifest, *, seconds: float) -> Manifest:
        """Replace an object of the operator's own. Raises ClusterError, ConflictError if it was changed."""
        metadata = manifest["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        return await self._stored("put", path, manifest, seconds=seconds)

    async def list(
        self, kind: Kind, *, namespace: str | None, selector: str | None = None, fields: str | None = None
    ) -> list[Manifest]:
        """All objects of a namespace, or of all, that have the labels and fields. Raises ClusterError."""
        query = {"labelSelector": selector, "fieldSelector": fields}
        found = await self._request("get", kind.path(namespace), query=_set(query), missing_ok=True)
        return list(found["items"]) if found else []

    async def exams(self, *, namespace: str, solver: str) -> Sequence[Manifest]:
        """The exams of a solver. Raises ClusterError."""
        found = await self.list(EXAM, namespace=namespace)
        return [exam for exam in found if exam["spec"]["solverRef"]["name"] == solver]

    async def versions(
        self, kind: Kind, *, namespace: str | None, selector: str | None
    ) -> dict[tuple[str, str], int]:
        """The version of each object, by namespace and name, as the server's cache has it. Raises ClusterError."""
        query = _set({"labelSelector": selector, "resourceVersion": "0"})
        found = await self._request(
            "get", kind.path(namespace), query=query, accept=METADATA_LIST, missing_ok=True, decode=_VERSIONS
        )
        listed = (found and found.items) or []
        return {
            (each.metadata.namespace, each.metadata.name): int(each.metadata.resource_version)
            for each in listed
        }

    def unseen(self, kind: Kind, *, namespace: str, name: str) -> bool:
        """Whether there is most likely no such object, so that `make` need not be preceded by a look."""
        return False

    def listed(self, kind: Kind, namespace: str | None) -> bool:
        """Return whether a watch has listed the kind's objects. There is no watch here."""
        return False

    def forget(self, kind: Kind) -> None:
        """Forget what is remembered of a kind."""

    async def resources(self, api_version: str) -> frozenset[str]:
        """The plural names of what the server knows by this group and version. Raises ClusterError."""
        found = await self._request("get", f"/apis/{api_version}", missing_ok=True)
        return frozenset(item["name"] for item in found["resources"]) if found else frozenset()

    async def apply(self, manifest: Manifest, *, force: bool, manager: str = FIELD_MANAGER) -> Manifest:
        """Server-side apply; returns the object as stored. Raises ClusterError.

        Without `force`, a field that someone else owns with another value is a ConflictError.
        """
        return await self._apply(manifest, subresource="", force=force, manager=manager)

    async def make(self, manifest: Manifest, *, manager: str = FIELD_MANAGER) -> Manifest:
        """Server-side apply of an object that must not be there yet. Raises ClusterError, ConflictError if it is.

        No object has this resourceVersion, so that an apply which finds one is refused, whatever is in it.
        """
        metadata = {**manifest["metadata"], "resourceVersion": NO_VERSION}
        made = {**manifest, "metadata": metadata}
        return await self._apply(made, subresource="", force=False, manager=manager)

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """Server-side apply of the status subresource. Raises ClusterError."""
        return await self._apply(manifest, subresource="/status", force=True, manager=FIELD_MANAGER)

    async def delete(self, kind: Kind, *, namespace: str, name: str, uid: str) -> None:
        """Delete the very object with this uid, if it is still there. Raises ClusterError."""
        self._only_if_leading()
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        path = kind.path(namespace, name)
        found = await self._request("delete", path, body=body, missing_ok=True, seconds=WRITE_SECONDS)
        if found is not None:
            self._wrote(kind.kind, "delete")

    async def _apply(self, manifest: Manifest, *, subresource: str, force: bool, manager: str) -> Manifest:
        self._only_if_leading()
        kind = kind_of(manifest)
        metadata = manifest["metadata"]
        stored = await self._stored(
            "patch",
            kind.path(metadata["namespace"], metadata["name"]) + subresource,
            manifest,
            content_type="application/apply-patch+yaml",
            query={"fieldManager": manager, "force": str(force).lower()},
            seconds=WRITE_SECONDS,
        )
        self._wrote(kind.kind, "apply" + subresource.replace("/", "_"))
        return stored

    def _only_if_leading(self) -> None:
        if not self._may_write():
            message = "the lease is not held any more: another operator may be writing"
            raise NotLeadingError(message)

    async def _stored(self, method: str, path: str, manifest: Manifest, **parameters: Any) -> Manifest:
        """The object as the server has it after a write."""
        stored: Manifest | None = await self._request(method, path, body=manifest, **parameters)
        if stored is None:
            message = f"{path}: the API server returned nothing"
            raise UnavailableError(message)
        return stored

    async def _request(
        self,
        method: str,
        path: str,
        *,
        missing_ok: bool = False,
        seconds: float = TIMEOUT_SECONDS,
        **parameters: Any,
    ) -> Any:
        self._sent(method)
        attributes = {"http.request.method": method.upper(), "url.path": path}
        try:
            with TRACER.start_as_current_span(f"{method.upper()} API server", attributes=attributes):
                return await self._transport.send(method, path, seconds=seconds, **parameters)
        except NotFoundError:
            if missing_ok:
                return None
            raise


def _set(query: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value is not None}
