"""Watch staleness: how far the watches are behind the cluster. A hanging watch looks like a quiet cluster.

So the operator regularly lists the versions of all watched objects, which the API server answers from its cache, and
compares them with the events. A listed version that no event has shown counts as late from the time of the list. A
second list must confirm it: the event may just be on its way, or the object too new for the server's cache. Time
without an answer does not count: an unreachable server sends no events either.

The server's cache may also be behind the events. But if every list shows an older version of an object than an event
did, the server was restored from a backup. Its versions restarted at a lower number, and an open watch shows no event
with a lower version than its own.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping

from mcq_operator.api.kinds import Kind
from mcq_operator.client import ClusterError, NoAnswerError
from mcq_operator.store import Listing, Observation

logger = logging.getLogger(__name__)


class WatchStaleness:
    """Compares the versions in events with the versions in lists."""

    def __init__(
        self,
        versions: Callable[[Kind], Awaitable[Mapping[tuple[str, str], int]]],
        *,
        clock: Callable[[], float],
        unreadable: Callable[[Kind], Collection[str]] = lambda _: (),
    ) -> None:
        """`versions` lists the version of each watched object of a kind, except in its `unreadable` namespaces.

        `clock` is monotonic, in seconds.
        """
        self._list = versions
        self._unreadable = unreadable
        self._clock = clock
        self._observed: dict[Kind, dict[tuple[str, str], int]] = {}
        self._late: dict[Kind, dict[tuple[str, str], tuple[int, float]]] = {}
        self._older: dict[Kind, dict[tuple[str, str], tuple[int, float]]] = {}
        self._compared: dict[Kind, float] = {}

    def observe(self, observed: Observation) -> None:
        """Record the version in an event."""
        versions = self._observed.setdefault(observed.kind, {})
        if observed.gone:
            versions.pop(observed.name, None)
            self._late.get(observed.kind, {}).pop(observed.name, None)
        else:
            versions[observed.name] = max(versions.get(observed.name, 0), observed.version)

    def observe_list(self, listing: Listing) -> None:
        """Record the versions in a watch's list: no event will come for its objects, or for those that it lacks."""
        for known in self._observed.get(listing.kind, {}), self._late.get(listing.kind, {}):
            for name in [name for name in known if listing.lacks(name)]:
                del known[name]
        self._older.pop(listing.kind, None)
        versions = self._observed.setdefault(listing.kind, {})
        versions.update({name: observed.version for name, observed in listing.objects.items()})

    async def verify(self, kinds: Collection[Kind]) -> None:
        """Compare once. Skip a kind until the next time if its list fails. Raises NoAnswerError."""
        lists = await asyncio.gather(*(self._list(kind) for kind in kinds), return_exceptions=True)
        for kind, versions in zip(kinds, lists, strict=True):
            if isinstance(versions, BaseException):
                if isinstance(versions, NoAnswerError) or not isinstance(versions, ClusterError):
                    raise versions
                logger.warning("can't verify the watch of %s: %s", kind.kind, versions)
            else:
                self._compare(kind, versions)
        for kind in set(self._observed) - set(kinds):
            # Its CRD was removed, so no event can be late.
            del self._observed[kind]
            self._late.pop(kind, None)
            self._older.pop(kind, None)

    def age(self, kind: Kind) -> float:
        """Return how many seconds the oldest missing event of the kind is late; 0 if none is."""
        late = self._missing_since(kind)
        return self._clock() - min(late) if late else 0.0

    def behind(self) -> bool:
        """Return whether the last comparison found missing events, or versions older than the events."""
        return any(self._late.values()) or any(self._older.values())

    def restored(self, seconds: float) -> bool:
        """Return whether lists at least `seconds` apart have shown an older version of an object than an event."""
        return any(
            self._observed[kind].get(name) == version and self._compared[kind] - since >= seconds
            for kind, older in self._older.items()
            for name, (version, since) in older.items()
        )

    def late(self, seconds: float) -> list[Kind]:
        """Return the kinds with an event that is still missing `seconds` after a list first showed its version."""
        return [
            kind
            for kind in self._late
            if any(self._compared[kind] - since >= seconds for since in self._missing_since(kind))
        ]

    def _missing_since(self, kind: Kind) -> list[float]:
        """Return, for each missing event of the kind, the time of the first list that showed its version."""
        known = self._observed.get(kind, {})
        return [
            since
            for name, (version, since) in self._late.get(kind, {}).items()
            if known.get(name, 0) < version
        ]

    def _compare(self, kind: Kind, listed: Mapping[tuple[str, str], int]) -> None:
        known, late = self._observed.setdefault(kind, {}), self._late.get(kind, {})
        now = self._compared[kind] = self._clock()
        # The deletion event of an object that the list lacks is missing, too. Its version is unknown, so it gets the
        # highest number. An object too new for the server's cache looks the same, until the next comparison.
        unread = self._unreadable(kind)
        gone = [name for name in known if name not in listed and name[0] not in unread]
        missing = {**listed, **dict.fromkeys(gone, sys.maxsize)}
        self._late[kind] = {
            # Keep the first listed version: newer ones may come all the time.
            name: late[name] if name in late and known.get(name, 0) < late[name][0] else (version, now)
            for name, version in missing.items()
            if known.get(name, 0) < version
        }
        older = self._older.get(kind, {})
        self._older[kind] = {
            name: older[name] if name in older and older[name][0] == known[name] else (known[name], now)
            for name, version in listed.items()
            if version < known.get(name, 0)
        }
