"""Outages between the operator and the API server that begin at a point of the scenario."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from tests.chaos.faults import NoFault, failure
from tests.chaos.proxy import Answer, Cut

if TYPE_CHECKING:
    from tests.chaos.calls import Call, Point
    from tests.chaos.proxy import Send


class Stale(NoFault):
    """For a while, answer reads with the responses from before a write."""

    DURATION = 2.0

    def __init__(self, point: Point | None = None, *, verb: str) -> None:
        """Affect only reads with `verb`: get or list."""
        super().__init__(point)
        self._verb = verb
        self._latest: dict[str, Answer] = {}
        self._frozen: dict[str, Answer] | None = None

    async def request(self, point: Point, call: Call, path: str, send: Send) -> Answer:
        """Return the earlier response if there is one."""
        if self._frozen is not None and path in self._frozen:
            return self._frozen[path]
        answer = await send()
        if call.verb == self._verb and self._frozen is None:
            self._latest[path] = answer
        if self._is_hit(point):
            self._frozen = dict(self._latest)
            asyncio.get_running_loop().call_later(self.DURATION, self._thaw)
        return answer

    def pending(self) -> bool:
        """Return True until reads return the current state again."""
        return self._frozen is not None

    def _thaw(self) -> None:
        self._frozen = None


class Partition(NoFault):
    """Block all traffic for a while."""

    def __init__(
        self, point: Point | None = None, *, lasts: float, how: Literal["cut", "silent", "503"]
    ) -> None:
        """Start at the step of `point`: close connections, stop answering on them, or respond with 503."""
        super().__init__(point)
        # After repeated failures the operator or kopf may wait as long again before the next attempt.
        self.seconds = 2 * lasts + 10
        self._lasts = lasts
        self._how = how
        self._open = asyncio.Event()
        self._open.set()

    async def step(self, name: str) -> None:
        """Start the outage at the fault's step."""
        if self.point is None or name != self.point.step or self.hit:
            return
        assert self.actions is not None
        self.hit = True
        self._open.clear()
        asyncio.get_running_loop().call_later(self._lasts, self._open.set)
        if self._how != "silent":
            self.actions.cut()

    async def watch(self, point: Point, call: Call) -> Answer | None:
        """Refuse the watch or hold it back."""
        return await self._gate()

    async def request(self, point: Point, call: Call, path: str, send: Send) -> Answer:
        """Refuse the request, or hold it back and forward it afterwards."""
        return await self._gate() or await send()

    async def event(self, point: Point, line: bytes) -> list[bytes]:
        """Hold the event back; only a silent partition leaves streams open."""
        await self._open.wait()
        return [line]

    def pending(self) -> bool:
        """Return True until the outage is over."""
        return not self._open.is_set()

    async def _gate(self) -> Answer | None:
        if not self._open.is_set():
            if self._how == "cut":
                raise Cut
            if self._how == "503":
                return failure(503)
        await self._open.wait()
        return None
