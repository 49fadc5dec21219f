"""One request in the queue, and the slot that it holds from its turn to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mcq_service.scheduler.request_parts import PartState

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from mcq_service.engine import Share
    from mcq_service.scheduler.request_parts import RequestPart


class Startable(Protocol):
    """Work that records when its first computation began."""

    @property
    def started_at(self) -> float | None:
        """The time on the monotonic clock, in seconds; None before."""


@dataclass(eq=False)
class Slot:
    """A request, or a part of one, from its admission to its end. Admission creates it."""

    tokens: int
    openings: Mapping[Any, int]
    writes: bool
    part: RequestPart | None
    granted: asyncio.Future[None]
    share: Share
    text: Startable | None = None

    @property
    def size(self) -> int:
        """Its tokens, if no other request keeps the same openings."""
        return self.tokens + sum(self.openings.values())

    @property
    def queued(self) -> bool:
        """True until its first computation begins."""
        return self.text is None or self.text.started_at is None

    async def turn(self) -> None:
        """Wait for the request's turn."""
        await self.granted

    def watch(self, text: Startable) -> None:
        """Count the request as queued until this text's first computation begins."""
        self.text = text
        if self.part is not None:
            self.part.move(PartState.OPEN)
