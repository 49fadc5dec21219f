"""A client of the API server that answers reads from the store where the store knows the answer."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec

from mcq_operator.api import ExamKey, Key, Manifest, SolverKey, names
from mcq_operator.api.kinds import EXAM, METADATA_ONLY, POD, RECONCILED, SOLVER, WATCHED, Kind, kind_of
from mcq_operator.api.names import OPERATOR_NAME
from mcq_operator.store.observation import Listing, NamespacedName, Observation, is_ours, observe
from mcq_operator.store.store import Change, Store

from .client import TIMEOUT_SECONDS, Client
from .errors import ClusterError

BODIES_BYTES = 16 * 2**20
"""The size limit of the kept ConfigMap data. A reconcile reads a dropped object again when it needs it."""


class CachedClient(Client):
    """A Client for a process that watches, and passes each event to `observe`."""

    def __init__(self, api_client: Any, **options: Callable[..., Any]) -> None:
        """Start with an empty store; see Client."""
        super().__init__(api_client, **options)
        self._store = Store()
        self._bodies = _Bodies()
        self._others: set[tuple[Kind, NamespacedName]] = set()

    def observe(self, observed: Observation) -> Change:
        """Store an event's object; return what changed for a reconcile."""
        return self._store.observe(observed)

    def observe_list(self, listing: Listing) -> set[Key]:
        """Store a watch's list; return the owners of changed objects, which get no event."""
        return self._store.replace(listing)

    def listed(self, kind: Kind, namespace: str | None) -> bool:
        """Return whether a watch has listed the kind's objects in the namespace, or in all."""
        return self._store.listed(kind, namespace)

    async def referring(self, kind: Kind, *, namespace: str, solver: str) -> Sequence[Manifest]:
        """Return the exams of a solver, or the solvers that escalate to it. Raises ClusterError."""
        known = self._store.group(kind, namespace, solver)
        return await super().referring(kind, namespace=namespace, solver=solver) if known is None else known

    def readers(self, observed: Observation) -> list[Key]:
        """Return the keys of the resources with a reconcile that reads the object.

        They are its owner and its parent; for an exam, also its solver; for a solver, also its exams and the solvers
        that escalate to it.
        """
        keys = [key for key in (observed.owner, observed.parent) if key is not None]
        if observed.kind is EXAM:
            keys.append(SolverKey(observed.name.namespace, observed.instance))
        if observed.kind is SOLVER:
            keys += (ExamKey(*name) for name in self._store.group_names(EXAM, observed.name))
            keys += (SolverKey(*name) for name in self._store.group_names(SOLVER, observed.name))
        return keys

    def is_unknown(self, kind: Kind, *, namespace: str, name: str) -> bool:
        """Return whether no event or read has ever shown the object, so that it probably does not exist."""
        key = NamespacedName(namespace, name)
        return not self._store.knows(kind, key) and (kind, key) not in self._others

    def forget(self, kind: Kind) -> None:
        """Drop all objects of a kind that the server does not know."""
        self._store.forget_kind(kind)

    async def get(
        self, kind: Kind, *, namespace: str, name: str, seconds: float = TIMEOUT_SECONDS
    ) -> Manifest | None:
        """Return an object, or None; ask the server only if the store doesn't know. Raises ClusterError."""
        key = NamespacedName(namespace, name)
        if self._store.knows(kind, key):
            known = self._store.find(kind, key)
            if known is None or not _reads_data(kind, name):
                return known
            if (body := self._bodies.get(kind, key, self._store.version(kind, key))) is not None:
                return body
        manifest = await self.get_live(kind, namespace=namespace, name=name, seconds=seconds)
        self._others.discard((kind, key))
        if manifest is None:
            self._store.observe_absent(kind, key)
        elif _is_watched(kind, manifest):
            self._store_answer(kind, manifest)
        else:
            self._others.add((kind, key))
        return manifest

    async def get_live(
        self, kind: Kind, *, namespace: str, name: str, seconds: float = TIMEOUT_SECONDS
    ) -> Manifest | None:
        """Return an object from the server; None for a resource that was deleted meanwhile. Raises ClusterError.

        Without this check, an answer that is older than the deletion event would make the operator create the children
        again. Children are not checked: their event may only mean that they lost the watched label.
        """
        manifest = await super().get_live(kind, namespace=namespace, name=name, seconds=seconds)
        if kind not in RECONCILED or manifest is None:
            return manifest
        version = int(manifest["metadata"]["resourceVersion"])
        return None if self._store.ended(kind, NamespacedName(namespace, name), version) else manifest

    async def list(
        self, kind: Kind, *, namespace: str | None, selector: str | None = None, fields: str | None = None
    ) -> list[Manifest]:
        """Return all objects of a namespace, or of all, with these labels and fields. Raises ClusterError."""
        known: Iterable[Manifest] | None = None
        if kind is POD and namespace and selector:
            known = self._pods(namespace, selector)
        elif kind in RECONCILED and not selector:
            known = self._store.all(kind, namespace)
        if known is None:
            return await super().list(kind, namespace=namespace, selector=selector, fields=fields)
        return [*known]

    async def delete(self, kind: Kind, *, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this uid, if it still exists. Raises ClusterError."""
        try:
            await super().delete(kind, namespace=namespace, name=name, uid=uid)
        except ClusterError:
            self._store.forget(kind, NamespacedName(namespace, name))
            raise

    async def create(self, kind: Kind, manifest: Manifest, **options: Any) -> Manifest:
        """Create an object; return it as stored. Raises ClusterError, ConflictError if it exists."""
        return await self._store_result(manifest, super().create(kind, manifest, **options))

    async def _apply(self, manifest: Manifest, **options: Any) -> Manifest:
        return await self._store_result(manifest, super()._apply(manifest, **options))

    async def _store_result(self, manifest: Manifest, write: Awaitable[Manifest]) -> Manifest:
        """Await a write of the object, and store the server's answer."""
        kind, metadata = kind_of(manifest), manifest["metadata"]
        key = NamespacedName(metadata["namespace"], metadata["name"])
        try:
            stored = await write
        except ClusterError:
            # The store may be wrong, and a lost answer leaves the outcome open: read the object next time.
            self._store.forget(kind, key)
            raise
        if kind in RECONCILED and not self._only_status_differs(kind, key, stored):
            # Someone else changed it meanwhile. Without this answer in the store, the event of that change counts.
            self._store.forget(kind, key)
        elif _is_watched(kind, stored):
            self._store_answer(kind, stored)
        return stored

    def _store_answer(self, kind: Kind, manifest: Manifest) -> None:
        """Store an answer of the server."""
        observed = observe(kind, manifest)
        self._store.observe(observed)
        if _reads_data(kind, manifest["metadata"]["name"]):
            self._bodies.put(kind, observed.name, observed.version, manifest)

    def _only_status_differs(self, kind: Kind, key: NamespacedName, stored: Manifest) -> bool:
        known = self._store.find(kind, key) or {}
        answer: Manifest = msgspec.json.decode(observe(kind, stored).body or b"{}")
        return {**known, "status": None} == {**answer, "status": None}

    def _pods(self, namespace: str, selector: str) -> Iterable[Manifest] | None:
        labels = dict(label.split("=", 1) for label in selector.split(","))
        pods = self._store.group(POD, namespace, labels[names.INSTANCE_LABEL])
        if pods is None:
            return None
        return [pod for pod in pods if labels.items() <= pod["metadata"].get("labels", {}).items()]


def _is_watched(kind: Kind, manifest: Manifest) -> bool:
    """Return whether events will show changes of the object. Otherwise the store must not keep it."""
    metadata = manifest["metadata"]
    managed = metadata.get("labels", {}).get(names.MANAGED_BY_LABEL) == OPERATOR_NAME
    return kind in RECONCILED or (kind in WATCHED and managed and is_ours(kind, metadata))


def _reads_data(kind: Kind, name: str) -> bool:
    """Return whether a reconcile reads the data of an object that is watched by its metadata.

    It never reads an exam's questions and answers: each share of the exam may store 1 MiB of them.
    """
    return kind in METADATA_ONLY and not names.is_shard_results_name(name)


class _Bodies:
    """The last read or written objects of the kinds with a metadata-only watch."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[tuple[Kind, NamespacedName], tuple[int, bytes]] = OrderedDict()
        self._bytes = 0

    def get(self, kind: Kind, name: NamespacedName, version: int) -> Manifest | None:
        """Return a copy of the object in exactly this version, or None."""
        kept_version, body = self._bodies.get((kind, name), (0, b""))
        if kept_version != version:
            return None
        self._bodies.move_to_end((kind, name))
        manifest: Manifest = msgspec.json.decode(body)
        return manifest

    def put(self, kind: Kind, name: NamespacedName, version: int, manifest: Manifest) -> None:
        """Keep the object, and drop the least recently used ones over the limit."""
        body = msgspec.json.encode(manifest)
        self._bytes += len(body) - len(self._bodies.pop((kind, name), (0, b""))[1])
        self._bodies[kind, name] = version, body
        while self._bytes > BODIES_BYTES:
            _, (_, dropped) = self._bodies.popitem(last=False)
            self._bytes -= len(dropped)
