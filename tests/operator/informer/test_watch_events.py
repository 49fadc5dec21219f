"""Events of children are read from kopf's watches, however the body is cut."""

import json
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from mcq_operator.api.kinds import POD
from mcq_operator.informer.watch_events import _WatchBody

if TYPE_CHECKING:
    from mcq_operator.store import Observation


def event(kind: str, version: int) -> dict[str, Any]:
    metadata = {"namespace": "team", "name": f"pod-{version}", "resourceVersion": str(version)}
    return {"type": kind, "object": {"metadata": metadata}}


BOOKMARK = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410}}
EVENTS = [event("ADDED", 3), event("MODIFIED", 4), BOOKMARK, event("DELETED", 10), EXPIRED]
BODY = b"".join(json.dumps(each).encode() + b"\n" for each in EVENTS)


class Content:
    """A body in the chunks that the network made of it."""

    def __init__(self, cuts: Sequence[int]) -> None:
        bounds = [0, *sorted(cuts), len(BODY)]
        self.chunks = [BODY[start:end] for start, end in pairwise(bounds)]

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


@given(st.lists(st.integers(0, len(BODY)), max_size=8))
async def test_each_event_is_observed_once_and_kopf_learns_the_version_to_resume_from(
    cuts: list[int],
) -> None:
    observed: list[Observation] = []
    body = _WatchBody(Content(cuts), POD, observed.extend)  # type: ignore[arg-type]
    lines = b"".join([chunk async for chunk in body.iter_chunked(2**20)]).splitlines()
    assert [(each.version, each.gone) for each in observed] == [(3, False), (4, False), (10, True)]
    for_kopf = [json.loads(line) for line in lines]
    assert [each for each in for_kopf if each["type"] != "BOOKMARK"] == [EXPIRED]
    versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in for_kopf if each != EXPIRED]
    assert set(versions) <= {3, 4, 9, 10}
    assert versions[-1] == 10
