"""An in-memory store of the cluster's objects, so that a reconcile rarely has to read from the API server.

The watches, their lists and the server's answers to writes feed it. They arrive late and in any order, so the newer
resourceVersion wins; the API server's versions are numbers that only grow.

The store can be wrong for a moment. So a reconcile uses it only to decide what to send. Each request names the uid of
the object, or says that the object must not exist, and the server refuses it if that is wrong.

The watches of children are filtered by a label. An object that they don't show may still exist and belong to someone
else: it is unknown. Only the server's answer to a read makes it absent.

Anyone can put our label on objects of their own. So the store keeps no body of a child that has no owner reference to
one of our resources, and of ConfigMaps, which may hold 1 MiB each, it keeps the metadata only.
"""

from dataclasses import dataclass
from enum import IntEnum

import msgspec

from mcq_operator.api import Key, Manifest
from mcq_operator.api.kinds import CHILDREN, EXAM, METADATA_ONLY, POD, SOLVER, Kind

from .observation import Listing, NamespacedName, Observation


class Change(IntEnum):
    """The importance of a change for the reconciles that read the object."""

    NONE = 0
    """No change; this member is falsy."""
    STATE = 1
    """The object is new, or its status has changed."""
    DRIFT = 2
    """The object is gone, or someone else changed its spec.

    The operator's own writes are in the store before their events, so they are no drift.
    """


@dataclass(slots=True)
class _Entry:
    """The newest known version of an object. `absent` means that a read found none."""

    version: int
    body: bytes | None
    instance: str = ""
    owner: Key | None = None
    absent: bool = False


class Store:
    """Objects by kind and name. Used by one thread."""

    def __init__(self) -> None:
        """Start with an empty store."""
        self._kinds: dict[Kind, dict[NamespacedName, _Entry]] = {}
        self._groups: dict[Kind, dict[NamespacedName, set[NamespacedName]]] = {POD: {}, EXAM: {}, SOLVER: {}}
        self._listed: dict[tuple[Kind, str | None], int] = {}

    def knows(self, kind: Kind, name: NamespacedName) -> bool:
        """Return whether `find` has an answer."""
        entry = self._kinds.get(kind, {}).get(name)
        return entry is not None and (entry.body is not None or entry.absent)

    def find(self, kind: Kind, name: NamespacedName) -> Manifest | None:
        """Return a copy of the object; None if it is absent or unknown."""
        entry = self._kinds.get(kind, {}).get(name)
        return _parsed(entry) if entry is not None and entry.body is not None else None

    def all(self, kind: Kind, namespace: str | None) -> list[Manifest] | None:
        """Return every object of a namespace, or of all; None before a list of them."""
        if not self.listed(kind, namespace):
            return None
        entries = self._kinds.get(kind, {}).items()
        return [
            _parsed(entry) for name, entry in entries if entry.body and namespace in (None, name.namespace)
        ]

    def group(self, kind: Kind, namespace: str, instance: str) -> list[Manifest] | None:
        """Return the Pods with a resource's label, the exams of a solver, or the solvers that escalate to one.

        Return None before a list of the kind.
        """
        if not self.listed(kind, namespace):
            return None
        entries = self._kinds.get(kind, {})
        # Sorted, so that the status names the same Pod each time if several fail in the same way.
        return [
            _parsed(entries[name]) for name in self.group_names(kind, NamespacedName(namespace, instance))
        ]

    def group_names(self, kind: Kind, instance: NamespacedName) -> list[NamespacedName]:
        """Return the names of the known objects in the group."""
        return sorted(self._groups[kind].get(instance, ()))

    def observe(self, observed: Observation) -> Change:
        """Store the object unless a newer version is known; return the importance of the change."""
        entries = self._kinds.setdefault(observed.kind, {})
        before = entries.get(observed.name)
        if before is not None and not _newer(observed, before):
            return Change.NONE
        entries[observed.name] = _Entry(observed.version, observed.body, observed.instance, observed.owner)
        if observed.kind in self._groups:
            self._index(observed, before)
        if before is None or before.absent:
            return Change.STATE
        return _change(observed.kind, before.body, observed.body)

    def observe_absent(self, kind: Kind, name: NamespacedName) -> None:
        """Store that a read did not find the object, unless an event has shown it meanwhile."""
        entries = self._kinds.setdefault(kind, {})
        before = entries.get(name)
        if before is None or before.body is None:
            entries[name] = _Entry(before.version if before else 0, None, absent=True)

    def ended(self, kind: Kind, name: NamespacedName, version: int) -> bool:
        """Return whether the object was deleted after this version."""
        entry = self._kinds.get(kind, {}).get(name)
        return entry is not None and entry.body is None and version <= entry.version

    def forget(self, kind: Kind, name: NamespacedName) -> None:
        """Make the next read go to the server: an operation on the object failed."""
        entry = self._kinds.get(kind, {}).get(name)
        if entry is not None and entry.body is None:
            entry.absent = False
        else:
            self._drop(kind, name)

    def forget_kind(self, kind: Kind) -> None:
        """Drop all objects of a kind that the server does not know."""
        for name in list(self._kinds.get(kind, ())):
            self._drop(kind, name)
        self._listed = {scope: version for scope, version in self._listed.items() if scope[0] is not kind}

    def version(self, kind: Kind, name: NamespacedName) -> int:
        """Return the newest known resourceVersion of an object, or 0."""
        entry = self._kinds.get(kind, {}).get(name)
        return entry.version if entry else 0

    def listed(self, kind: Kind, namespace: str | None) -> bool:
        """Return whether the kind's objects in the namespace, or in all, have been listed."""
        return (kind, None) in self._listed or (kind, namespace) in self._listed

    def replace(self, listing: Listing) -> set[Key]:
        """Store a whole list. Drop objects that the list lacks, unless they are newer than the list.

        Returns the owners of objects that differ from the store: no event will requeue them.
        """
        kind = listing.kind
        if listing.version < self._listed.get((kind, listing.namespace), 0):
            # The server was restored from a backup: newer versions never existed.
            self.forget_kind(kind)
        changed = {each.owner for each in listing.objects.values() if self.observe(each)}
        self._listed[kind, listing.namespace] = listing.version
        for name, entry in list(self._kinds.get(kind, {}).items()):
            if listing.lacks(name) and entry.version <= listing.version:
                self._drop(kind, name)
                if entry.body is not None:
                    changed.add(entry.owner)
                    # Remember that it is gone, so that a late event cannot bring it back; the next list drops this.
                    self._kinds[kind][name] = _Entry(listing.version, None)
        return {key for key in changed if key is not None}

    def _drop(self, kind: Kind, name: NamespacedName) -> None:
        entry = self._kinds.get(kind, {}).pop(name, None)
        if entry is not None and kind in self._groups:
            self._unindex(kind, name, entry)

    def _index(self, observed: Observation, before: _Entry | None) -> None:
        if before is not None:
            self._unindex(observed.kind, observed.name, before)
        if observed.body is not None:
            group = NamespacedName(observed.name.namespace, observed.instance)
            self._groups[observed.kind].setdefault(group, set()).add(observed.name)

    def _unindex(self, kind: Kind, name: NamespacedName, entry: _Entry) -> None:
        group = NamespacedName(name.namespace, entry.instance)
        members = self._groups[kind].get(group, set())
        members.discard(name)
        if not members:
            self._groups[kind].pop(group, None)


def _newer(observed: Observation, known: _Entry) -> bool:
    # A deletion may have the version of the last change. Then the deletion is newer.
    return observed.version > known.version or (observed.version == known.version and observed.body is None)


def _change(kind: Kind, before: bytes | None, after: bytes | None) -> Change:
    if kind in METADATA_ONLY and before is not None and after is not None:
        # The operator did not write this version. The reconcile reads the data if it needs it.
        return Change.DRIFT
    if before == after:
        return Change.NONE
    if before is None:
        return Change.STATE
    if after is None:
        return Change.DRIFT
    # Only children drift. Most events are about Pods, which have no desired state, so skip decoding their bodies.
    return Change.DRIFT if kind in CHILDREN and _spec_fields(before) != _spec_fields(after) else Change.STATE


def _spec_fields(body: bytes) -> Manifest:
    """Return the object without the fields that controllers write: the status and the metadata."""
    manifest: Manifest = msgspec.json.decode(body)
    return {key: value for key, value in manifest.items() if key not in ("metadata", "status")}


def _parsed(entry: _Entry) -> Manifest:
    manifest: Manifest = msgspec.json.decode(entry.body or b"{}")
    return manifest
