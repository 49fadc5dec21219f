"""How far the watches are behind the cluster: a watch that hangs says nothing, which is what a quiet cluster says too.

So once in a while the versions of all watched objects are listed, which the API server answers from its cache, and
compared with what events have shown. What is listed and not yet seen is late, from the moment that it was listed.

A server's cache may also be behind the events. But if an object stays older than an event showed it, the server was
restored from a backup: its versions began again at an older one, and a watch shows no event below the version that it
began with.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from .kube import ClusterError, Listing, NoAnswerError, Sighting
from .models.kinds import Kind

logger = logging.getLogger(__name__)


class List(Protocol):
    """Lists the versions of a kind's watched objects."""

    async def __call__(self, kind: Kind, /) -> dict[tuple[str, str], int]:
        """Return the version of each object. Raises ClusterError."""


class Freshness:
    """Compares what events showed with what there is."""

    def __init__(self, versions: List, *, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._list = versions
        self._clock = clock
        self._seen: dict[Kind, dict[tuple[str, str], int]] = {}
        self._late: dict[Kind, dict[tuple[str, str], tuple[int, float]]] = {}
        self._older: dict[Kind, dict[tuple[str, str], tuple[int, float]]] = {}

    def saw(self, seen: Sighting) -> None:
        """An event came."""
        versions = self._seen.setdefault(seen.kind, {})
        if seen.gone:
            versions.pop(seen.name, None)
            self._late.get(seen.kind, {}).pop(seen.name, None)
        else:
            versions[seen.name] = max(versions.get(seen.name, 0), seen.version)

    def listed(self, listing: Listing) -> None:
        """Take in a watch's list: no event will come for what it has or lacks."""
        for told in self._seen.get(listing.kind, {}), self._late.get(listing.kind, {}):
            for name in [name for name in told if listing.lacks(name)]:
                del told[name]
        self._older.pop(listing.kind, None)
        versions = self._seen.setdefault(listing.kind, {})
        versions.update({name: seen.version for name, seen in listing.objects.items()})

    async def verify(self, kinds: Collection[Kind]) -> None:
        """Compare once. A kind that can't be listed is left to the next time. Raises NoAnswerError."""
        found = await asyncio.gather(*(self._list(kind) for kind in kinds), return_exceptions=True)
        for kind, versions in zip(kinds, found, strict=True):
            if isinstance(versions, BaseException):
                if isinstance(versions, NoAnswerError) or not isinstance(versions, ClusterError):
                    raise versions
                logger.warning("the watch of %s can't be verified: %s", kind.kind, versions)
            else:
                self._compare(kind, versions)
        for kind in set(self._seen) - set(kinds):
            # Its CRD was removed: there is nothing to be late for.
            del self._seen[kind]
            self._late.pop(kind, None)
            self._older.pop(kind, None)

    def age(self, kind: Kind) -> float:
        """For how many seconds events of this kind have been missing; 0 when none is."""
        seen = self._seen.get(kind, {})
        late = [
            since
            for name, (version, since) in self._late.get(kind, {}).items()
            if seen.get(name, 0) < version
        ]
        return self._clock() - min(late) if late else 0.0

    def behind(self) -> bool:
        """Return whether the last comparison found events missing, or versions older than seen."""
        return any(self._late.values()) or any(self._older.values())

    def restored(self, seconds: float) -> bool:
        """Return whether an object has been older than an event showed it for so long."""
        now = self._clock()
        return any(
            self._seen[kind].get(name) == version and now - since >= seconds
            for kind, older in self._older.items()
            for name, (version, since) in older.items()
        )

    def late(self, seconds: float) -> list[Kind]:
        """Return the kinds of which events have been missing for so long."""
        return [kind for kind in self._late if self.age(kind) >= seconds]

    def _compare(self, kind: Kind, listed: Mapping[tuple[str, str], int]) -> None:
        seen, late = self._seen.setdefault(kind, {}), self._late.get(kind, {})
        now = self._clock()
        # What is seen and no longer there has an event to come too, which no version is as new as. What is too new for
        # the server's cache looks the same, until the next time.
        missing = {**listed, **{name: sys.maxsize for name in seen if name not in listed}}
        self._late[kind] = {
            # Late for the version that was listed first: newer ones may come all the time.
            name: late[name] if name in late and seen.get(name, 0) < late[name][0] else (version, now)
            for name, version in missing.items()
            if seen.get(name, 0) < version
        }
        older = self._older.get(kind, {})
        self._older[kind] = {
            name: older[name] if name in older and older[name][0] == seen[name] else (seen[name], now)
            for name, version in listed.items()
            if version < seen.get(name, 0)
        }
