"""A reader of kopf's watches of children and Pods.

A roll-out of one solver causes dozens of events of its objects. kopf starts a task for each object, and wraps each
event for handlers that this operator does not have: 1.5 ms of CPU an event, where reading it takes 0.1 ms
(docs/benchmarks.md). So this module reads the events, and hands kopf bookmarks in their place: kopf connects, resumes
after the last event, and lists again when the server no longer knows that one.

The events of solvers and exams go to kopf's handlers, without their deepest values: kopf ends at one that it can't
decode.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
import msgspec

from mcq_operator.api.kinds import RECONCILED, Kind
from mcq_operator.client.json_depth import decode, shallow
from mcq_operator.store import Observation, observe

from .lists import OK, scope

CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_DECODER = msgspec.json.Decoder(_Event)


@dataclass(frozen=True)
class Events:
    """Takes the events of children and Pods out of kopf's watches, and deep values out of those of resources.

    Attributes:
        on_events: called with the objects of one or more events of a kind, in the server's order. kopf's handlers
            of solvers and exams call it, too.

    """

    on_events: Callable[[Sequence[Observation]], None]

    async def intercept(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send kopf's request. In a watch, replace the body by one that reads or shortens the events."""
        response = await handler(request)
        watched = scope(request.url.path) if "watch" in request.url.query else None
        if watched and response.status == OK:
            body = _WatchBody(response.content, watched[0], self.on_events)
            response.content = cast("aiohttp.StreamReader", body)
        return response


@dataclass(frozen=True)
class _WatchBody:
    """The body of a watch. kopf reads it by `iter_chunked` alone."""

    content: aiohttp.StreamReader
    kind: Kind
    on_events: Callable[[Sequence[Observation]], None]

    def __getattr__(self, name: str) -> Any:
        """Return an attribute that the response itself needs, to be closed."""
        return getattr(self.content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Yield the lines that kopf needs: events of resources, errors, the server's bookmarks, and ours."""
        rest = b""
        async for chunk in self.content.iter_chunked(size):
            *lines, rest = (rest + chunk).split(b"\n")
            for_kopf = self._take(lines)
            if for_kopf:
                yield for_kopf
        yield rest

    def _take(self, lines: Sequence[bytes]) -> bytes:
        """Return the lines for kopf; pass the objects of the others on."""
        if self.kind in RECONCILED:
            return b"".join(shallow(line) + b"\n" for line in lines if line)
        observed: list[Observation] = []
        for_kopf: list[bytes] = []
        last = b""
        for line in lines:
            observation = self._observation(line)
            if observation:
                observed.append(observation)
                last = _bookmark(observation.version)
            else:
                for_kopf += [last, line]
                last = b""
        if observed:
            self.on_events(observed)
        return b"".join(line + b"\n" for line in [*for_kopf, last] if line)

    def _observation(self, line: bytes) -> Observation | None:
        """Return the object of an event; None for any other line, and for one that can't be read, which ends kopf."""
        try:
            event = decode(line, _DECODER.decode)
            if event.type in CHANGES:
                return observe(self.kind, decode(bytes(event.object)), gone=event.type == "DELETED")
        except msgspec.DecodeError:
            pass
        return None


def _bookmark(version: int) -> bytes:
    """Return the event by which a server says that it has sent everything up to this resourceVersion."""
    return msgspec.json.encode(
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}
    )
