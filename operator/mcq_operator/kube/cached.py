"""A client of the API server that answers reads from the store where the store knows the answer."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from mcq_operator.models import ExamKey, Key, Manifest, SolverKey, names
from mcq_operator.models.kinds import EXAM, METADATA_ONLY, POD, RECONCILED, SOLVER, WATCHED, Kind, kind_of
from mcq_operator.models.names import OPERATOR_NAME

from .api import TIMEOUT_SECONDS, Api
from .cache import Cache, News
from .errors import ClusterError
from .sightings import Listing, Name, Sighting, is_ours, sighting

BODIES_BYTES = 16 * 2**20
"""How much of the ConfigMaps' data is kept: an object that is not kept is read again when a reconcile needs it."""


class CachedApi(Api):
    """Api for a process that watches, and tells each event to `note`."""

    def __init__(self, api_client: Any, **options: Callable[..., Any]) -> None:
        """Remember nothing yet; see Api."""
        super().__init__(api_client, **options)
        self._cache = Cache()
        self._bodies = _Bodies()
        self._others: set[tuple[Kind, Name]] = set()

    def note(self, seen: Sighting) -> News:
        """Take in an event; returns whether, and why, a reconcile may have to do something about it."""
        return self._cache.note(seen)

    def note_list(self, listing: Listing) -> set[Key]:
        """Take in a watch's list; returns the owners of objects that no event will tell of."""
        return self._cache.replace(listing)

    def listed(self, kind: Kind, namespace: str | None) -> bool:
        """Return whether a watch has listed the kind's objects in the namespace, or in all."""
        return self._cache.listed(kind, namespace)

    async def exams(self, *, namespace: str, solver: str) -> Sequence[Manifest]:
        """The exams of a solver. Raises ClusterError."""
        found = self._cache.group(EXAM, namespace, solver)
        return await super().exams(namespace=namespace, solver=solver) if found is None else found

    def woken(self, seen: Sighting) -> list[Key]:
        """Whose reconciles read what was seen: its owner's; of a solver its exams', of an exam its solver's, too."""
        keys = [key for key in (seen.owner, seen.parent) if key is not None]
        if seen.kind is EXAM:
            keys.append(SolverKey(seen.name.namespace, seen.instance))
        if seen.kind is SOLVER:
            keys += (ExamKey(*name) for name in self._cache.group_names(EXAM, seen.name))
        return keys

    def unseen(self, kind: Kind, *, namespace: str, name: str) -> bool:
        """Whether nobody has told of such an object, or asked for it: most likely there is none."""
        key = Name(namespace, name)
        return not self._cache.knows(kind, key) and (kind, key) not in self._others

    def forget(self, kind: Kind) -> None:
        """Know nothing of a kind that the server doesn't know."""
        self._cache.forget_kind(kind)

    async def get(
        self, kind: Kind, *, namespace: str, name: str, seconds: float = TIMEOUT_SECONDS
    ) -> Manifest | None:
        """One object, or None; asked for only where nothing is known. Raises ClusterError."""
        key = Name(namespace, name)
        if self._cache.knows(kind, key):
            known = self._cache.find(kind, key)
            if known is None or kind not in METADATA_ONLY:
                return known
            if (body := self._bodies.get(kind, key, self._cache.version(kind, key))) is not None:
                return body
        found = await self.ask(kind, namespace=namespace, name=name, seconds=seconds)
        self._others.discard((kind, key))
        if found is None:
            self._cache.note_absent(kind, key)
        elif _is_watched(kind, found):
            self._note(kind, found)
        else:
            self._others.add((kind, key))
        return found

    async def ask(
        self, kind: Kind, *, namespace: str, name: str, seconds: float = TIMEOUT_SECONDS
    ) -> Manifest | None:
        """The same, always from the server itself; None for a resource whose end was seen. Raises ClusterError.

        An answer of before that end would have what the garbage collector takes made again. Of a child an end says
        less: it may have lost no more than the label that its watch asks for.
        """
        found = await super().ask(kind, namespace=namespace, name=name, seconds=seconds)
        if kind not in RECONCILED or found is None:
            return found
        version = int(found["metadata"]["resourceVersion"])
        return None if self._cache.ended(kind, Name(namespace, name), version) else found

    async def list(
        self, kind: Kind, *, namespace: str | None, selector: str | None = None, fields: str | None = None
    ) -> list[Manifest]:
        """All objects of a namespace, or of all, that have the labels and fields. Raises ClusterError."""
        known: Iterable[Manifest] | None = None
        if kind is POD and namespace and selector:
            known = self._pods(namespace, selector)
        elif kind in RECONCILED and not selector:
            known = self._cache.all(kind, namespace)
        if known is None:
            return await super().list(kind, namespace=namespace, selector=selector, fields=fields)
        return [*known]

    async def delete(self, kind: Kind, *, namespace: str, name: str, uid: str) -> None:
        """Delete the very object with this uid, if it is still there. Raises ClusterError."""
        try:
            await super().delete(kind, namespace=namespace, name=name, uid=uid)
        except ClusterError:
            self._cache.forget(kind, Name(namespace, name))
            raise

    async def _apply(self, manifest: Manifest, **how: Any) -> Manifest:
        kind, metadata = kind_of(manifest), manifest["metadata"]
        key = Name(metadata["namespace"], metadata["name"])
        try:
            stored = await super()._apply(manifest, **how)
        except ClusterError:
            # What it was sent for may not be so any more, and after a lost answer nobody knows: ask next time.
            self._cache.forget(kind, key)
            raise
        if kind in RECONCILED and not self._only_status_differs(kind, key, stored):
            # Someone changed it meanwhile, and nobody reads this answer: the event of that change must be news.
            self._cache.forget(kind, key)
        elif _is_watched(kind, stored):
            self._note(kind, stored)
        return stored

    def _note(self, kind: Kind, manifest: Manifest) -> None:
        """Take in an answer of the server."""
        seen = sighting(kind, manifest)
        self._cache.note(seen)
        if kind in METADATA_ONLY:
            self._bodies.put(kind, seen.name, seen.version, manifest)

    def _only_status_differs(self, kind: Kind, key: Name, stored: Manifest) -> bool:
        known = self._cache.find(kind, key) or {}
        seen: Manifest = msgspec.json.decode(sighting(kind, stored).body or b"{}")
        return {**known, "status": None} == {**seen, "status": None}

    def _pods(self, namespace: str, selector: str) -> Iterable[Manifest] | None:
        wanted = dict(label.split("=", 1) for label in selector.split(","))
        found = self._cache.group(POD, namespace, wanted[names.INSTANCE_LABEL])
        if found is None:
            return None
        return [pod for pod in found if wanted.items() <= pod["metadata"].get("labels", {}).items()]


def _is_watched(kind: Kind, manifest: Manifest) -> bool:
    """Whether events will tell of its changes: otherwise it must not be remembered."""
    metadata = manifest["metadata"]
    managed = metadata.get("labels", {}).get(names.MANAGED_BY_LABEL) == OPERATOR_NAME
    return kind in RECONCILED or (kind in WATCHED and managed and is_ours(kind, metadata))


class _Bodies:
    """The whole objects that were read or written last, of kinds that are watched by their metadata."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[tuple[Kind, Name], tuple[int, bytes]] = OrderedDict()
        self._bytes = 0

    def get(self, kind: Kind, name: Name, version: int) -> Manifest | None:
        """Return a copy of the object in exactly this version, or None."""
        known, body = self._bodies.get((kind, name), (0, b""))
        if known != version:
            return None
        self._bodies.move_to_end((kind, name))
        found: Manifest = msgspec.json.decode(body)
        return found

    def put(self, kind: Kind, name: Name, version: int, manifest: Manifest) -> None:
        """Keep the object, and drop those that were used the longest time ago."""
        body = msgspec.json.encode(manifest)
        self._bytes += len(body) - len(self._bodies.pop((kind, name), (0, b""))[1])
        self._bodies[kind, name] = version, body
        while self._bytes > BODIES_BYTES:
            _, (_, dropped) = self._bodies.popitem(last=False)
            self._bytes -= len(dropped)
