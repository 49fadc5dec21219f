"""Faults of one request, one response or one watch event, at a point of the scenario."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Protocol

from tests.chaos.proxy import Answer, Cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.calls import Call, Point
    from tests.chaos.proxy import Send

REASONS = {
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}
SILENCE_SECONDS = 45.0
"""Longer than the operator's request timeout."""
RESPONSE_READ_SECONDS = 0.1
"""How long to wait after a response until the operator counts as having read it."""


class FaultActions(Protocol):
    """The actions that a fault can take besides changing the traffic."""

    def kill(self) -> None:
        """SIGKILL the operator."""

    def start(self) -> None:
        """Start the operator again."""

    def cut(self) -> None:
        """Close every connection."""


class NoFault:
    """Pass everything unchanged; the base class of the faults."""

    seconds = 0.0
    """Additional seconds that the fault allows a step."""

    def __init__(self, point: Point | None = None) -> None:
        """Inject the fault at `point`."""
        self.point = point
        self.hit = False
        self.actions: FaultActions | None = None

    async def watch(self, point: Point, call: Call) -> Answer | None:
        """See tests.chaos.proxy.Fault."""
        return None

    async def request(self, point: Point, call: Call, path: str, send: Send) -> Answer:
        """See tests.chaos.proxy.Fault."""
        return await send()

    async def after_response(self, point: Point, call: Call) -> None:
        """See tests.chaos.proxy.Fault."""

    async def event(self, point: Point, line: bytes) -> list[bytes]:
        """See tests.chaos.proxy.Fault."""
        return [line]

    async def step(self, name: str) -> None:
        """Act at the beginning of a step."""

    def pending(self) -> bool:
        """Return True until the fault is over."""
        return False

    def _is_hit(self, point: Point) -> bool:
        """Return True once, when the run reaches the fault's point."""
        is_hit = point == self.point and not self.hit
        self.hit = self.hit or is_hit
        return is_hit

    def _restart(self) -> None:
        assert self.actions is not None
        self.actions.kill()
        self.actions.start()


class KillUnseen(NoFault):
    """Kill the operator after it sends a write and before it gets the response."""

    async def request(self, point: Point, call: Call, path: str, send: Send) -> Answer:
        """Kill the operator after forwarding the request."""
        answer = await send()
        if self._is_hit(point):
            self._restart()
            raise Cut
        return answer


class KillSeen(NoFault):
    """Kill the operator after it gets a write's response: at its next request, or a moment later."""

    def __init__(self, point: Point | None = None) -> None:
        """Inject the fault after `point`."""
        super().__init__(point)
        self._armed = False

    async def after_response(self, point: Point, call: Call) -> None:
        """Arm the fault, and kill the operator a moment later."""
        if self._is_hit(point):
            self._armed = True
            await asyncio.sleep(RESPONSE_READ_SECONDS)
            self._kill()

    async def request(self, point: Point, call: Call, path: str, send: Send) -> Answer:
        """Kill the operator instead of forwarding its next request."""
        if self._kill():
            raise Cut
        return await send()

    def pending(self) -> bool:
        """Return True until the operator is killed."""
        return self._armed

    def _kill(self) -> bool:
        armed, self._armed = self._armed, False
        if armed:
            self._restart()
        return armed


class Reply(NoFault):
    """Answer a request with an error or close its connection; with `done`, the server executes it first."""

    def __init__(self, point: Point | None = None, *, status: int | None, done: bool) -> None:
        """Respond with `status`; None closes the connection."""
        super().__init__(point)
        self._status = status
        self._done = done

    async def watch(self, point: Point, call: Call) -> Answer | None:
        """Answer a watch in the same way."""
        return await self._reply() if self._is_hit(point) else None

    async def request(self, point: Point, call: Call, path: str, send: Send) -> Answer:
        """Answer the request with the error."""
        if not self._is_hit(point):
            return await send()
        if self._done:
            await send()
        return await self._reply()

    async def _reply(self) -> Answer:
        if self._status is None:
            raise Cut
        return failure(self._status)


class Silence(Reply):
    """Leave a request without a response, on an open connection."""

    seconds = SILENCE_SECONDS + 5

    def __init__(self, point: Point | None = None, *, done: bool) -> None:
        """Stay silent at `point`."""
        super().__init__(point, status=None, done=done)

    async def _reply(self) -> Answer:
        await asyncio.sleep(SILENCE_SECONDS)
        raise Cut


class Events(NoFault):
    """Delay, drop or repeat a watch event, or end its watch with 410."""

    def __init__(
        self, point: Point | None = None, *, change: Callable[[bytes], list[bytes]], late: float = 0
    ) -> None:
        """Send `change(event)` in place of the event, `late` seconds later."""
        super().__init__(point)
        self._change = change
        self._late = late
        self._waiting = False

    async def event(self, point: Point, line: bytes) -> list[bytes]:
        """Change the event. Later events of its stream wait too, because a connection keeps their order."""
        if not self._is_hit(point):
            return [line]
        self._waiting = True
        try:
            await asyncio.sleep(self._late)
        finally:
            self._waiting = False
        return self._change(line)

    def pending(self) -> bool:
        """Return True until the event is sent."""
        return self._waiting


def expired(_: bytes) -> list[bytes]:
    """Replace an event with the error for an expired watch."""
    event = {"type": "ERROR", "object": json.loads(failure(410).body)}
    return [json.dumps(event).encode() + b"\n"]


def failure(code: int) -> Answer:
    """Return the API server's response for a failed request."""
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
