"""What can happen to one request, one answer or one watch event, at a point of the scenario."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Protocol

from hack.chaos.proxy import Answer, Cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from hack.chaos.calls import Call, Point
    from hack.chaos.proxy import Send

REASONS = {
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}
SILENCE_SECONDS = 45.0
"""Longer than the operator waits for an answer."""
SEEN_SECONDS = 0.1
"""By when an answer that was sent has been read, if nothing else shows it."""


class Stage(Protocol):
    """What a fault can do besides answering."""

    def kill(self) -> None:
        """SIGKILL the operator."""

    def start(self) -> None:
        """Start it again."""

    def cut(self) -> None:
        """End every connection."""


class NoFault:
    """Everything passes as it is; what the faults have in common."""

    seconds = 0.0
    """How much longer than without it a step may take."""

    def __init__(self, point: Point | None = None) -> None:
        """Strike at `point`."""
        self.point = point
        self.hit = False
        self.stage: Stage | None = None

    async def watch(self, point: Point, call: Call) -> Answer | None:
        """See hack.chaos.proxy.Fault."""
        return None

    async def request(self, point: Point, call: Call, path: str, send: Send) -> Answer:
        """See hack.chaos.proxy.Fault."""
        return await send()

    async def answered(self, point: Point, call: Call) -> None:
        """See hack.chaos.proxy.Fault."""

    async def event(self, point: Point, line: bytes) -> list[bytes]:
        """See hack.chaos.proxy.Fault."""
        return [line]

    async def step(self, name: str) -> None:
        """A step of the scenario begins."""

    def pending(self) -> bool:
        """Whether it is not over yet."""
        return False

    def _strikes(self, point: Point) -> bool:
        """Whether now is the time, the first and only one."""
        strikes = point == self.point and not self.hit
        self.hit = self.hit or strikes
        return strikes

    def _restart(self) -> None:
        assert self.stage is not None  # noqa: S101 - it is set before anything runs
        self.stage.kill()
        self.stage.start()


class KillUnseen(NoFault):
    """The operator is killed when a write is done and before its answer arrives."""

    async def request(self, point: Point, call: Call, path: str, send: Send) -> Answer:
        """Kill after passing on."""
        answer = await send()
        if self._strikes(point):
            self._restart()
            raise Cut
        return answer


class KillSeen(NoFault):
    """The operator is killed when it has seen a write's answer: at its next request, or a moment later."""

    def __init__(self, point: Point | None = None) -> None:
        """Strike after `point`."""
        super().__init__(point)
        self._seen = False

    async def answered(self, point: Point, call: Call) -> None:
        """Mark, and kill a moment later."""
        if self._strikes(point):
            self._seen = True
            await asyncio.sleep(SEEN_SECONDS)
            self._kill()

    async def request(self, point: Point, call: Call, path: str, send: Send) -> Answer:
        """Kill instead of passing the next one on."""
        if self._kill():
            raise Cut
        return await send()

    def pending(self) -> bool:
        """Until it is killed."""
        return self._seen

    def _kill(self) -> bool:
        seen, self._seen = self._seen, False
        if seen:
            self._restart()
        return seen


class Reply(NoFault):
    """A request gets an answer that is not the server's, or none; `done`: the server has carried it out."""

    def __init__(self, point: Point | None = None, *, status: int | None, done: bool) -> None:
        """Answer with `status`; None cuts the connection."""
        super().__init__(point)
        self._status = status
        self._done = done

    async def watch(self, point: Point, call: Call) -> Answer | None:
        """The same for a watch."""
        return await self._reply() if self._strikes(point) else None

    async def request(self, point: Point, call: Call, path: str, send: Send) -> Answer:
        """Answer wrongly."""
        if not self._strikes(point):
            return await send()
        if self._done:
            await send()
        return await self._reply()

    async def _reply(self) -> Answer:
        if self._status is None:
            raise Cut
        return failure(self._status)


class Silence(Reply):
    """A request gets no answer, and its connection stays."""

    seconds = SILENCE_SECONDS + 5

    def __init__(self, point: Point | None = None, *, done: bool) -> None:
        """Be silent at `point`."""
        super().__init__(point, status=None, done=done)

    async def _reply(self) -> Answer:
        await asyncio.sleep(SILENCE_SECONDS)
        raise Cut


class Events(NoFault):
    """A watch event comes late, never, twice, or the watch ends with 410 in its place."""

    def __init__(
        self, point: Point | None = None, *, change: Callable[[bytes], list[bytes]], late: float = 0
    ) -> None:
        """Send what `change` makes of the event, `late` seconds later."""
        super().__init__(point)
        self._change = change
        self._late = late
        self._waiting = False

    async def event(self, point: Point, line: bytes) -> list[bytes]:
        """Change it. What follows it in its stream waits too: a connection keeps the order."""
        if not self._strikes(point):
            return [line]
        self._waiting = True
        try:
            await asyncio.sleep(self._late)
        finally:
            self._waiting = False
        return self._change(line)

    def pending(self) -> bool:
        """Until it is sent."""
        return self._waiting


def expired(_: bytes) -> list[bytes]:
    """In place of an event: the watch is too old."""
    event = {"type": "ERROR", "object": json.loads(failure(410).body)}
    return [json.dumps(event).encode() + b"\n"]


def failure(code: int) -> Answer:
    """What the API server says when it does not do what it was asked for."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": REASONS[code],
        "message": "a fault of the campaign",
        "code": code,
    }
    headers = [("Content-Type", "application/json")]
    if code == 429:
        headers.append(("Retry-After", "1"))
    return Answer(code, json.dumps(body).encode(), tuple(headers))
