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

from mcq_operator.models import Key, Manifest
from mcq_operator.models.kinds import CHILDREN, EXAM, METADATA_ONLY, POD, Kind

from .sightings import Listing, Name, Sighting


class News(IntEnum):
    """What is new about an object, for those who read it."""

    NONE = 0
    """Nothing: so it is false."""
    STATE = 1
    """It has come, or what became of it has changed."""
    DRIFT = 2
    """It was there and is gone, or what it was to be has changed, and not by an own write: those are known before."""


@dataclass(slots=True)
class _Entry:
    """The newest that is known; `absent` where somebody asked, and there was none."""

    version: int
    body: bytes | None
    instance: str = ""
    owner: Key | None = None
    absent: bool = False


class Cache:
    """Objects by their kinds and names. Used by one thread."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._kinds: dict[Kind, dict[Name, _Entry]] = {}
        self._groups: dict[Kind, dict[Name, set[Name]]] = {POD: {}, EXAM: {}}
        self._listed: dict[tuple[Kind, str | None], int] = {}

    def knows(self, kind: Kind, name: Name) -> bool:
        """Whether `find` has an answer."""
        entry = self._kinds.get(kind, {}).get(name)
        return entry is not None and (entry.body is not None or entry.absent)

    def find(self, kind: Kind, name: Name) -> Manifest | None:
        """The object, a copy for the caller; None where there is none or nothing is known."""
        entry = self._kinds.get(kind, {}).get(name)
        return _parsed(entry) if entry is not None and entry.body is not None else None

    def all(self, kind: Kind, namespace: str | None) -> list[Manifest] | None:
        """Every object of a namespace, or of all; None where they have not been listed."""
        if not self.listed(kind, namespace):
            return None
        entries = self._kinds.get(kind, {}).items()
        return [
            _parsed(entry) for name, entry in entries if entry.body and namespace in (None, name.namespace)
        ]

    def group(self, kind: Kind, namespace: str, instance: str) -> list[Manifest] | None:
        """The Pods with a resource's label, or the exams of a solver; None where the kind has not been listed."""
        if not self.listed(kind, namespace):
            return None
        entries = self._kinds.get(kind, {})
        # Sorted, so that of two that fail alike the same one is told of each time.
        return [_parsed(entries[name]) for name in self.group_names(kind, Name(namespace, instance))]

    def group_names(self, kind: Kind, instance: Name) -> list[Name]:
        """Those that are known, by their names."""
        return sorted(self._groups[kind].get(instance, ()))

    def note(self, seen: Sighting) -> News:
        """Take it in, unless something newer is known; returns what that changed for a reconcile."""
        entries = self._kinds.setdefault(seen.kind, {})
        before = entries.get(seen.name)
        if before is not None and not _newer(seen, before):
            return News.NONE
        entries[seen.name] = _Entry(seen.version, seen.body, seen.instance, seen.owner)
        if seen.kind in self._groups:
            self._index(seen, before)
        if before is None or before.absent:
            return News.STATE
        return _news(seen.kind, before.body, seen.body)

    def note_absent(self, kind: Kind, name: Name) -> None:
        """The server was asked, and has none by this name; unless one was seen meanwhile."""
        entries = self._kinds.setdefault(kind, {})
        before = entries.get(name)
        if before is None or before.body is None:
            entries[name] = _Entry(before.version if before else 0, None, absent=True)

    def ended(self, kind: Kind, name: Name, version: int) -> bool:
        """Whether the end of the object was seen, and this version is of before it."""
        entry = self._kinds.get(kind, {}).get(name)
        return entry is not None and entry.body is None and version <= entry.version

    def forget(self, kind: Kind, name: Name) -> None:
        """Ask for the object next time: something that was done with it did not go as it should have."""
        entry = self._kinds.get(kind, {}).get(name)
        if entry is not None and entry.body is None:
            entry.absent = False
        else:
            self._drop(kind, name)

    def forget_kind(self, kind: Kind) -> None:
        """Know nothing of the kind: the server doesn't."""
        for name in list(self._kinds.get(kind, ())):
            self._drop(kind, name)
        self._listed = {scope: version for scope, version in self._listed.items() if scope[0] is not kind}

    def version(self, kind: Kind, name: Name) -> int:
        """Return the newest known resourceVersion of an object, or 0."""
        entry = self._kinds.get(kind, {}).get(name)
        return entry.version if entry else 0

    def listed(self, kind: Kind, namespace: str | None) -> bool:
        """Return whether the kind's objects in the namespace, or in all, have been listed."""
        return (kind, None) in self._listed or (kind, namespace) in self._listed

    def replace(self, listing: Listing) -> set[Key]:
        """Take in a whole list, and drop what it lacks unless that is newer than the list.

        Returns the owners of objects that differ from what was known: no event will requeue those.
        """
        kind = listing.kind
        if listing.version < self._listed.get((kind, listing.namespace), 0):
            # The server was restored from a backup: newer versions never existed.
            self.forget_kind(kind)
        changed = {each.owner for each in listing.objects.values() if self.note(each)}
        self._listed[kind, listing.namespace] = listing.version
        for name, entry in list(self._kinds.get(kind, {}).items()):
            if listing.lacks(name) and entry.version <= listing.version:
                self._drop(kind, name)
                if entry.body is not None:
                    changed.add(entry.owner)
                    # Remember that it is gone, so that a late event cannot bring it back; the next list drops this.
                    self._kinds[kind][name] = _Entry(listing.version, None)
        return {key for key in changed if key is not None}

    def _drop(self, kind: Kind, name: Name) -> None:
        entry = self._kinds.get(kind, {}).pop(name, None)
        if entry is not None and kind in self._groups:
            self._unindex(kind, name, entry)

    def _index(self, seen: Sighting, before: _Entry | None) -> None:
        if before is not None:
            self._unindex(seen.kind, seen.name, before)
        if seen.body is not None:
            group = Name(seen.name.namespace, seen.instance)
            self._groups[seen.kind].setdefault(group, set()).add(seen.name)

    def _unindex(self, kind: Kind, name: Name, entry: _Entry) -> None:
        group = Name(name.namespace, entry.instance)
        found = self._groups[kind].get(group, set())
        found.discard(name)
        if not found:
            self._groups[kind].pop(group, None)


def _newer(seen: Sighting, known: _Entry) -> bool:
    # Where an object's end has the version of its last change, the end is newer.
    return seen.version > known.version or (seen.version == known.version and seen.body is None)


def _news(kind: Kind, before: bytes | None, after: bytes | None) -> News:
    if kind in METADATA_ONLY and before is not None and after is not None:
        # A newer version that is not our own write. Its data are unknown: they are read if the reconcile needs them.
        return News.DRIFT
    if before == after:
        return News.NONE
    if before is None:
        return News.STATE
    if after is None:
        return News.DRIFT
    # Only children drift. Most events are of Pods, of which no spec is kept: nothing is read of both bodies for them.
    return News.DRIFT if kind in CHILDREN and _ordered(before) != _ordered(after) else News.STATE


def _ordered(body: bytes) -> Manifest:
    """All of an object but what controllers tell by: its status, and annotations and generations in the metadata."""
    found: Manifest = msgspec.json.decode(body)
    return {key: value for key, value in found.items() if key not in ("metadata", "status")}


def _parsed(entry: _Entry) -> Manifest:
    found: Manifest = msgspec.json.decode(entry.body or b"{}")
    return found
