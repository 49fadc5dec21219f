"""What the operator remembers of the cluster, so that a reconcile need not ask for it.

It is fed by the watches, by the server's answers to writes, and by a listing once in a while. All of them may come
late and in any order, so the newer resourceVersion wins; the API server's are numbers that only grow.

It may be wrong, for a moment, or after a watch has missed an object's end until the next listing. So nothing that is
read from it is trusted with more than to decide what to send: what is sent says what it is about (a uid, or that there
must be no such object), and is refused where that isn't so.

The watches of children are filtered by a label. So what they tell nothing of is not absent: it is unknown, and may be
someone else's. Only an answer to a question makes it absent.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import msgspec

from mcq_operator.models import Key, Manifest, names
from mcq_operator.models.kinds import (
    CHILDREN,
    CLAIM,
    CONFIG_MAP,
    DISRUPTION_BUDGET,
    EXAM,
    POD,
    RECONCILED,
    SERVICE,
    Kind,
)
from mcq_operator.models.resource import KEYS

from .owners import owner

UNREAD_METADATA = frozenset({"managedFields", "resourceVersion"})
UNREAD = {
    POD: frozenset({"spec"}),
    **dict.fromkeys((CLAIM, SERVICE, DISRUPTION_BUDGET), frozenset({"status"})),
    CONFIG_MAP: frozenset({"binaryData"}),
}
"""What no reconcile reads is not kept, and a change of it wakes nobody."""


class News(IntEnum):
    """What is new about an object, for those who read it."""

    NONE = 0
    """Nothing: so it is false."""
    STATE = 1
    """It has come, or what became of it has changed."""
    DRIFT = 2
    """It was there and is gone, or what it was to be has changed, and not by an own write: those are known before."""


class Name(NamedTuple):
    """Which object of a kind."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an event or an answer says of an object.

    Attributes:
        kind: the object's kind.
        name: which one.
        version: the resourceVersion.
        body: the object as JSON, without what nobody reads; None: it is gone, or does not match the watch any more.
        instance: the value of the label that names a resource; of an exam the name of its solver.
        owner: the resource that it belongs to, or that it is.
        parent: of a resource the one that it was made for.

    """

    kind: Kind
    name: Name
    version: int
    body: bytes | None
    instance: str
    owner: Key | None
    parent: Key | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which objects of a kind there were, in a namespace or in all.

    Attributes:
        kind: the kind.
        namespace: the namespace, or None for all.
        names: the objects' namespaces and names.
        version: the resourceVersion of which they are.

    """

    kind: Kind
    namespace: str | None
    names: Collection[tuple[str, str]]
    version: int

    def lacks(self, name: tuple[str, str]) -> bool:
        """Return whether the object would have been listed if there were one by this name."""
        return self.namespace in (None, name[0]) and name not in self.names


def sighting(kind: Kind, manifest: Manifest, *, gone: bool = False) -> Sighting:
    """What the server's object says."""
    metadata = manifest["metadata"]
    unread = UNREAD.get(kind, frozenset())
    kept = {
        # An item of a list has no kind of its own.
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {key: value for key, value in metadata.items() if key not in UNREAD_METADATA},
        **{key: value for key, value in manifest.items() if key not in unread and key not in FRAME},
    }
    return Sighting(
        kind=kind,
        name=Name(metadata["namespace"], metadata["name"]),
        version=int(metadata["resourceVersion"]),
        body=None if gone else msgspec.json.encode(kept),
        instance=_instance(kind, manifest),
        owner=KEYS[kind.kind](metadata["namespace"], metadata["name"])
        if kind in RECONCILED
        else owner(metadata),
        parent=owner(metadata) if kind in RECONCILED else None,
    )


def _instance(kind: Kind, manifest: Manifest) -> str:
    if kind is EXAM:
        return str(manifest.get("spec", {}).get("solverRef", {}).get("name", ""))
    return str(manifest["metadata"].get("labels", {}).get(names.INSTANCE_LABEL, ""))


FRAME = frozenset({"apiVersion", "kind", "metadata"})


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
        if not self._lists(kind, namespace):
            return None
        entries = self._kinds.get(kind, {}).items()
        return [
            _parsed(entry) for name, entry in entries if entry.body and namespace in (None, name.namespace)
        ]

    def group(self, kind: Kind, namespace: str, instance: str) -> list[Manifest] | None:
        """The Pods with a resource's label, or the exams of a solver; None where the kind has not been listed."""
        if not self._lists(kind, namespace):
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

    def replace(self, kind: Kind, namespace: str | None, seen: Iterable[Sighting], version: int) -> set[Key]:
        """Take in a full listing as of `version`: what isn't in it, and not newer, is forgotten.

        Returns whose objects turned out to be other than was known: no event will wake those.
        """
        if version < self._listed.get((kind, namespace), 0):
            # The server was restored from a backup: what was newer has never been.
            self.forget_kind(kind)
        names_seen = set()
        changed: set[Key | None] = set()
        for each in seen:
            names_seen.add(each.name)
            if self.note(each):
                changed.add(each.owner)
        listing = Listing(kind=kind, namespace=namespace, names=names_seen, version=version)
        self._listed[kind, namespace] = version
        return self.drop_missing(listing) | {key for key in changed if key is not None}

    def drop_missing(self, listing: Listing) -> set[Key]:
        """Forget what a full listing lacks, unless it is newer; returns whose objects those were."""
        changed: set[Key | None] = set()
        for name, entry in list(self._kinds.get(listing.kind, {}).items()):
            if listing.lacks(name) and entry.version <= listing.version:
                self._drop(listing.kind, name)
                if entry.body is not None:
                    changed.add(entry.owner)
                    # Its end, which an event of before it must not undo; the next listing forgets that as well.
                    self._kinds[listing.kind][name] = _Entry(listing.version, None)
        return {key for key in changed if key is not None}

    def _lists(self, kind: Kind, namespace: str | None) -> bool:
        return (kind, None) in self._listed or (kind, namespace) in self._listed

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
