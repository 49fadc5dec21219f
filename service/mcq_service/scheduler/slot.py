"""One request in the queue, and the slot that it holds from its turn to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mcq_service.engine import Share
from mcq_service.scheduler.request_parts import PartState

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from mcq_service.scheduler.request_parts import RequestPart


class Startable(Protocol):
    """Work that records when its first computation began."""

    @property
    def started_at(self) -> float | None:
        """The time on the monotonic clock, in seconds; None before."""


@dataclass(eq=False)
class QueuedRequest:
    """A request, or a part of one, from its admission to its end."""

    tokens: int
    openings: Mapping[Any, int]
    writes: bool
    part: RequestPart | None
    turn: asyncio.Future[None]
    text: Startable | None = None

    @property
    def size(self) -> int:
        """Its tokens, if no other request keeps the same openings."""
        return self.tokens + sum(self.openings.values())

    @property
    def queued(self) -> bool:
        """True until its first computation begins."""
        return self.text is None or self.text.started_at is None


class Slot:
    """An admitted request's place. Admission creates it."""

    def __init__(self, request: QueuedRequest) -> None:
        """Hold the place of `request`."""
        self._request = request
        self.share = Share() if request.part is None else request.part.share

    async def turn(self) -> None:
        """Wait for the request's turn."""
        await self._request.turn

    def watch(self, text: Startable) -> None:
        """Count the request as queued until this text's first computation begins."""
        self._request.text = text
        if self._request.part is not None:
            self._request.part.move(PartState.OPEN)
