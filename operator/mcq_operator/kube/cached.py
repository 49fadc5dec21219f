"""The API server with a memory: reads are answered from what the watches told, as far as they did."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from mcq_operator.models import ExamKey, Key, Manifest, SolverKey, names
from mcq_operator.models.kinds import EXAM, POD, RECONCILED, SOLVER, WATCHED, Kind, kind_of
from mcq_operator.models.names import OPERATOR_NAME

from .api import TIMEOUT_SECONDS, Api
from .cache import Cache, Listing, Name, News, Sighting, sighting
from .errors import ClusterError


class CachedApi(Api):
    """Api for a process that watches, and tells each event to `note`."""

    def __init__(self, api_client: Any, **options: Callable[..., Any]) -> None:
        """Remember nothing yet; see Api."""
        super().__init__(api_client, **options)
        self._cache = Cache()
        self._others: set[tuple[Kind, Name]] = set()

    def note(self, seen: Sighting) -> News:
        """Take in an event; returns whether, and why, a reconcile may have to do something about it."""
        return self._cache.note(seen)

    def drop_missing(self, listing: Listing) -> set[Key]:
        """Forget what the watch's own list lacks; returns whose objects those were: no event tells of them."""
        return self._cache.drop_missing(listing)

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

    async def refresh(self, kind: Kind, *, namespace: str | None) -> set[Key]:
        """List it anew, which repairs what the watches missed; returns whose objects changed. Raises ClusterError."""
        selector = names.watch_selector(kind)
        seen: list[Sighting] = []
        version = 0
        async for page, listed in self.pages(kind, namespace=namespace, selector=selector):
            seen += [sighting(kind, item) for item in page]
            version = listed
        return self._cache.replace(kind, namespace, seen, version)

    def forget(self, kind: Kind) -> None:
        """Know nothing of a kind that the server doesn't know."""
        self._cache.forget_kind(kind)

    async def get(
        self, kind: Kind, *, namespace: str, name: str, seconds: float = TIMEOUT_SECONDS
    ) -> Manifest | None:
        """One object, or None; asked for only where nothing is known. Raises ClusterError."""
        key = Name(namespace, name)
        if self._cache.knows(kind, key):
            return self._cache.find(kind, key)
        found = await self.ask(kind, namespace=namespace, name=name, seconds=seconds)
        self._others.discard((kind, key))
        if found is None:
            self._cache.note_absent(kind, key)
        elif _is_watched(kind, found):
            self._cache.note(sighting(kind, found))
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
            self._cache.note(sighting(kind, stored))
        return stored

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
    labels = manifest["metadata"].get("labels", {})
    return kind in RECONCILED or (kind in WATCHED and labels.get(names.MANAGED_BY_LABEL) == OPERATOR_NAME)
