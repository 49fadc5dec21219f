"""Requests to the API server: typed errors, and a count of every write."""

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import aiohttp
import msgspec
from opentelemetry import trace

from mcq_operator.api import FIELD_MANAGER, Manifest
from mcq_operator.api.kinds import RECONCILED, SERVICE, Kind, kind_of
from mcq_operator.store.observation import instance_of, is_creation

from .errors import AnswerTooLongError, NotFoundError, NotLeadingError, UnavailableError
from .json_depth import decode, decode_shallow
from .pages import PAGE_SIZE, decode_page
from .transport import METADATA_LIST, Transport

TRACER = trace.get_tracer("mcq_operator.client")
TIMEOUT_SECONDS = 30.0
WRITE_SECONDS = 40.0
"""Longer than the server's own wait for its webhooks (34 s), so that the server reports which one failed."""


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    namespace: str
    resource_version: str


class _Object(msgspec.Struct):
    metadata: _Metadata


class _Listed(msgspec.Struct):
    # The server sends null for an empty list of metadata.
    items: list[_Object] | None = None


_VERSIONS = partial(decode, decoder=msgspec.json.Decoder(_Listed).decode)
"""Decodes only names and versions. Of thousands of objects, managedFields would take most of the memory."""


class Client:
    """The API server, for the kinds in the operator's table.

    Paths come from that table. Discovery by the client library would request known facts, and cache them in a file.
    """

    def __init__(
        self,
        api_client: Any,
        *,
        on_write: Callable[[str, str], None] = lambda *_: None,
        on_request: Callable[[str], None] = lambda _: None,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """Send requests through `api_client`.

        Args:
            api_client: from `connect`.
            on_write: called with kind and verb for each accepted write, except replacements of the lease.
            on_request: called with the HTTP method of each request.
            may_write: called right before each of these writes; False raises NotLeadingError.

        """
        self._transport = Transport(api_client)
        self._on_write = on_write
        self._on_request = on_request
        self._may_write = may_write

    async def get(
        self, kind: Kind, *, namespace: str, name: str, seconds: float = TIMEOUT_SECONDS
    ) -> Manifest | None:
        """Return an object, or None. Raises ClusterError."""
        return await self.get_live(kind, namespace=namespace, name=name, seconds=seconds)

    async def get_live(
        self, kind: Kind, *, namespace: str, name: str, seconds: float = TIMEOUT_SECONDS
    ) -> Manifest | None:
        """Return an object, or None, always by a request to the server. Raises ClusterError."""
        path = kind.path(namespace, name)
        manifest: Manifest | None = await self._request("get", path, missing_ok=True, seconds=seconds)
        return manifest

    async def create(
        self,
        kind: Kind,
        manifest: Manifest,
        *,
        manager: str = FIELD_MANAGER,
        seconds: float = WRITE_SECONDS,
    ) -> Manifest:
        """Create an object; return it as stored. Raises ClusterError, ConflictError if it exists.

        It costs the server less than an apply. But call `adopt_fields` before the first apply.
        """
        self._only_if_leading()
        path = kind.path(manifest["metadata"]["namespace"])
        # As an apply does, refuse an unknown field: the spec passes some parts of Pods through.
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        created = await self._stored("post", path, manifest, query=query, seconds=seconds)
        self._on_write(kind.kind, "create")
        return created

    async def replace(self, kind: Kind, manifest: Manifest, *, seconds: float) -> Manifest:
        """Replace an object of the operator's own. Raises ClusterError, ConflictError if it was changed."""
        metadata = manifest["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        return await self._stored("put", path, manifest, seconds=seconds)

    async def list(
        self, kind: Kind, *, namespace: str | None, selector: str | None = None, fields: str | None = None
    ) -> list[Manifest]:
        """Return all objects of a namespace, or of all, with these labels and fields. Raises ClusterError."""
        query = {"labelSelector": selector, "fieldSelector": fields}
        response = await self._request(
            "get",
            kind.path(namespace),
            query=_set(query),
            missing_ok=True,
            decode=decode_shallow if kind in RECONCILED else decode,
        )
        return list(response["items"]) if response else []

    async def pages(self, kind: Kind, *, namespace: str | None) -> AsyncIterator[Sequence[Manifest]]:
        """Yield the names, creation times and specs of all objects of a namespace, or of all. Raises ClusterError.

        Use it for kinds with large objects of other users: one answer with all of them could be too long.
        """
        limit, continuation = PAGE_SIZE, ""
        while True:
            query = _set({"limit": str(limit), "continue": continuation or None})
            try:
                page = await self._request(
                    "get", kind.path(namespace), query=query, missing_ok=True, decode=decode_page
                )
            except AnswerTooLongError:
                limit //= 2
                if limit == 0:
                    raise
                continue
            yield (page and page["items"]) or []
            continuation = page["metadata"].get("continue", "") if page else ""
            if not continuation:
                return

    async def referring(self, kind: Kind, *, namespace: str, solver: str) -> Sequence[Manifest]:
        """Return the exams of a solver, or the solvers that escalate to it. Raises ClusterError."""
        return [
            item for item in await self.list(kind, namespace=namespace) if instance_of(kind, item) == solver
        ]

    async def versions(
        self, kind: Kind, *, namespace: str | None, selector: str | None
    ) -> dict[tuple[str, str], int]:
        """Return the version of each object, by namespace and name, from the server's cache. Raises ClusterError."""
        query = _set({"labelSelector": selector, "resourceVersion": "0"})
        response = await self._request(
            "get", kind.path(namespace), query=query, accept=METADATA_LIST, missing_ok=True, decode=_VERSIONS
        )
        items = (response and response.items) or []
        return {
            (each.metadata.namespace, each.metadata.name): int(each.metadata.resource_version)
            for each in items
        }

    def is_unknown(self, kind: Kind, *, namespace: str, name: str) -> bool:
        """Return whether the object probably does not exist, so that `create` may skip the read before it."""
        return False

    def listed(self, kind: Kind, namespace: str | None) -> bool:
        """Return whether a watch has listed the kind's objects. There is no watch here."""
        return False

    def forget(self, kind: Kind) -> None:
        """Drop all that the store has of a kind."""

    async def resources(self, api_version: str) -> frozenset[str]:
        """Return the plural names of the server's resources in this group and version. Raises ClusterError."""
        response = await self._request("get", f"/apis/{api_version}", missing_ok=True)
        return frozenset(item["name"] for item in response["resources"]) if response else frozenset()

    async def apply(self, manifest: Manifest, *, force: bool, manager: str = FIELD_MANAGER) -> Manifest:
        """Apply an object server-side; return it as stored. Raises ClusterError.

        Without `force`, a field that another manager owns with another value raises ConflictError.
        """
        return await self._apply(manifest, subresource="", force=force, manager=manager)

    async def adopt_fields(self, kind: Kind, *, namespace: str, name: str) -> None:
        """Record the fields that `create` set as applied. Raises ClusterError, ConflictError after another change.

        Without this, a field that a later apply leaves out would stay, as one that someone else has set. Source:
        Kubernetes, Server-Side Apply, "Upgrading from client-side apply to server-side apply".
        """
        live = await self.get_live(kind, namespace=namespace, name=name)
        metadata = live["metadata"] if live else {}
        patch = [
            {"op": "replace", "path": f"/metadata/managedFields/{index}/operation", "value": "Apply"}
            for index, entry in enumerate(metadata.get("managedFields", []))
            if is_creation(entry)
        ]
        if not patch:
            return
        self._only_if_leading()
        patch.append(
            {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
        )
        content_type = "application/json-patch+json"
        await self._request("patch", kind.path(namespace, name), body=patch, content_type=content_type)
        self._on_write(kind.kind, "patch")

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """Apply the status subresource server-side. Raises ClusterError."""
        return await self._apply(manifest, subresource="/status", force=True, manager=FIELD_MANAGER)

    async def delete(self, kind: Kind, *, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this uid, if it still exists. Raises ClusterError."""
        self._only_if_leading()
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        path = kind.path(namespace, name)
        deleted = await self._request("delete", path, body=body, missing_ok=True, seconds=WRITE_SECONDS)
        if deleted is not None:
            self._on_write(kind.kind, "delete")

    async def username(self) -> str:
        """Return the name of this client's user, as the API server knows it. Raises ClusterError."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        reviewed = await self._stored("post", path, review)
        return str(reviewed["status"]["userInfo"]["username"])

    async def post_to_service(
        self, path: str, *, namespace: str, name: str, port: str, body: Manifest, silence: float
    ) -> aiohttp.ClientResponse:
        """Send JSON to a Service through the API server's proxy; return the response with its body still to be read.

        The API server removes the header Authorization. Raises NoAnswerError.
        """
        self._on_request("post")
        service = SERVICE.path(namespace, f"{name}:{port}")
        return await self._transport.post(f"{service}/proxy{path}", body=body, silence=silence)

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
        self._on_write(kind.kind, "apply" + subresource.replace("/", "_"))
        return stored

    def _only_if_leading(self) -> None:
        if not self._may_write():
            message = "this operator has lost its lease: another operator may be writing"
            raise NotLeadingError(message)

    async def _stored(self, method: str, path: str, manifest: Manifest, **parameters: Any) -> Manifest:
        """Send a write; return the object as the server has it afterwards."""
        stored: Manifest | None = await self._request(method, path, body=manifest, **parameters)
        if stored is None:
            message = f"{path}: the API server's answer is empty"
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
        self._on_request(method)
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
