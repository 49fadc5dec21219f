"""kopf wiring: what is watched, and who is told of an event of it. Nothing else happens here.

Only raw `on.event` handlers are used: with those, kopf puts no annotations and no finalizers on objects.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import kopf

from .kube import Sighting, sighting
from .kube.api import TIMEOUT_SECONDS
from .lists import CHUNK, Lists
from .login import login
from .models import names
from .models.kinds import WATCHED, Kind


class Told(Protocol):
    """Who hears of events, from the thread that watches."""

    def saw(self, seen: Sighting) -> None:
        """Take in what an event said."""


@dataclass(frozen=True)
class Memo:
    """What handlers are given, and the login."""

    told: Told
    lists: Lists


async def object_seen(kind: Kind, /, *, event: Mapping[str, Any], memo: Memo, **_: object) -> None:
    """A solver, an object that was made for one, or one of its Pods was created, changed or deleted."""
    memo.told.saw(sighting(kind, event["object"], gone=event["type"] == "DELETED"))


def registry(*, absent: Collection[Kind] = ()) -> kopf.OperatorRegistry:
    """Every handler, but for kinds that the API server doesn't know."""
    made = kopf.OperatorRegistry()
    kopf.on.login(registry=made)(login)
    for kind in WATCHED:
        if kind not in absent:
            kopf.on.event(kind.group, kind.version, kind.plural, registry=made)(partial(object_seen, kind))
    return made


def settings() -> kopf.OperatorSettings:
    """kopf's settings: the server filters children by label, and kopf writes nothing."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.peering.standalone = True
    # Which kinds there are, the operator finds out itself: without rights to look at CRDs and namespaces.
    made.scanning.disabled = True
    # A list whose answer is lost is asked for again: kopf's own default waits for five minutes.
    made.networking.request_timeout = TIMEOUT_SECONDS
    # An object's worker keeps its last event as long as it waits for another: with thousands of objects, that counts.
    made.queueing.idle_timeout = 0.1
    # All objects of a kind at once would take as much memory for ever as they take for a moment.
    made.watching.chunk_size = CHUNK
    made.persistence.diffbase_storage = _NoDifferences()
    for kind in WATCHED:
        if (selector := names.watch_selector(kind)) is not None:
            made.watching.label_selectors[kind.group, kind.version, kind.plural] = selector
    return made


class _NoDifferences(kopf.DiffBaseStorage):
    """kopf copies each event's object to compare it with the last one, which no handler here asks for."""

    def build(self, **_: object) -> kopf.BodyEssence:
        """What there is to compare: nothing."""
        return kopf.BodyEssence({})

    def fetch(self, **_: object) -> kopf.BodyEssence | None:
        """What there was: nothing."""
        return None

    def store(self, **_: object) -> None:
        """Write nothing."""
