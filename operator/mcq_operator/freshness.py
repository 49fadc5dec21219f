"""How far the watches are behind the cluster: a watch that hangs says nothing, which is what a quiet cluster says too.

So once in a while the versions of all watched objects are listed, which the API server answers from its cache, and
compared with what events have shown. What is listed and not yet seen is late, from the moment that it was listed.
"""

import sys
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from .models.kinds import Kind

Name = tuple[str, str]
"""Namespace and name."""


class List(Protocol):
    """Lists the versions of a kind's watched objects."""

    async def __call__(self, kind: Kind, /) -> dict[Name, int]:
        """Return the version of each object. Raises ClusterError."""


class Freshness:
    """Compares what events showed with what there is."""

    def __init__(self, versions: List, *, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._list = versions
        self._clock = clock
        self._lock = threading.Lock()  # events come from the thread that watches
        self._seen: dict[str, dict[Name, int]] = {}
        self._late: dict[str, dict[Name, tuple[int, float]]] = {}

    def saw(self, plural: str, meta: Mapping[str, Any], *, gone: bool) -> None:
        """An event came."""
        name = (meta["namespace"], meta["name"])
        with self._lock:
            seen = self._seen.setdefault(plural, {})
            if gone:
                seen.pop(name, None)
                self._late.get(plural, {}).pop(name, None)
            else:
                seen[name] = max(seen.get(name, 0), int(meta["resourceVersion"]))

    async def verify(self, kinds: Collection[Kind]) -> None:
        """Compare once. Raises ClusterError."""
        for kind in kinds:
            listed = await self._list(kind)
            with self._lock:
                self._compare(kind.plural, listed)
        with self._lock:
            for plural in set(self._seen) - {kind.plural for kind in kinds}:
                # Its CRD was removed: there is nothing to be late for.
                del self._seen[plural]
                self._late.pop(plural, None)

    def age(self, plural: str) -> float:
        """For how many seconds events of this kind have been missing; 0 when none is."""
        with self._lock:
            late = [
                since
                for name, (version, since) in self._late.get(plural, {}).items()
                if self._seen.get(plural, {}).get(name, 0) < version
            ]
        return self._clock() - min(late) if late else 0.0

    def oldest(self) -> float:
        """The age of the kind that is furthest behind."""
        with self._lock:
            kinds = list(self._late)
        return max(map(self.age, kinds), default=0.0)

    def _compare(self, plural: str, listed: dict[Name, int]) -> None:
        seen, late = self._seen.setdefault(plural, {}), self._late.get(plural, {})
        now = self._clock()
        # What is seen and no longer there has an event to come too, which no version is as new as. What is too new for
        # the server's cache looks the same, until the next time.
        missing = listed | {name: sys.maxsize for name in seen if name not in listed}
        self._late[plural] = {
            # Late for the version that was listed first: newer ones may come all the time.
            name: late[name] if name in late and seen.get(name, 0) < late[name][0] else (version, now)
            for name, version in missing.items()
            if seen.get(name, 0) < version
        }
