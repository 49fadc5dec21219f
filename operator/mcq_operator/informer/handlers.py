"""kopf's handlers, one for each watched kind. Those of solvers and exams pass their events on.

kopf watches the kinds that have handlers. Only raw `on.event` handlers are used: for those, kopf puts no annotations
and no finalizers on objects.
"""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import kopf

from mcq_operator.api import names
from mcq_operator.api.kinds import RECONCILED, WATCHED, Kind
from mcq_operator.client.client import TIMEOUT_SECONDS
from mcq_operator.store import observe

from .lists import PAGE_SIZE
from .login import HandlerMemo, login


async def forward_event(kind: Kind, /, *, event: Mapping[str, Any], memo: HandlerMemo, **_: object) -> None:
    """Pass on the event of a solver or an exam."""
    memo.events.on_events([observe(kind, event["object"], gone=event["type"] == "DELETED")])


async def ignore_event(**_: object) -> None:
    """Do nothing: `watch_events` has read the event of a child or a Pod, and kopf gets none."""


def registry(*, absent: Collection[Kind] = ()) -> kopf.OperatorRegistry:
    """Return the handlers of all kinds, except `absent` ones that the API server doesn't know."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(login)
    for kind in WATCHED:
        if kind not in absent:
            handler = partial(forward_event, kind) if kind in RECONCILED else ignore_event
            kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)(handler)
    return registry


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings: the server filters children by label, and kopf writes nothing."""
    result = kopf.OperatorSettings()
    result.posting.enabled = False
    result.peering.standalone = True
    # The operator discovers the kinds itself, without permission to read CRDs and namespaces.
    result.scanning.disabled = True
    # Repeat a list after a lost answer: kopf's default waits for five minutes.
    result.networking.request_timeout = TIMEOUT_SECONDS
    # An idle worker keeps its last event in memory, which adds up for thousands of objects.
    result.queueing.idle_timeout = 0.1
    # Page the lists: the process would keep the memory that one large list needs for a moment.
    result.watching.chunk_size = PAGE_SIZE
    result.persistence.diffbase_storage = _NoDifferences()
    for kind in WATCHED:
        if (selector := names.watch_selector(kind)) is not None:
            result.watching.label_selectors[kind.group, kind.version, kind.plural] = selector
    return result


class _NoDifferences(kopf.DiffBaseStorage):
    """Keeps no copy of each event's object: kopf would compare it with the next one, which no handler needs."""

    def build(self, **_: object) -> kopf.BodyEssence:
        """Return an empty essence."""
        return kopf.BodyEssence({})

    def fetch(self, **_: object) -> kopf.BodyEssence | None:
        """Return no last essence."""
        return None

    def store(self, **_: object) -> None:
        """Write nothing."""
