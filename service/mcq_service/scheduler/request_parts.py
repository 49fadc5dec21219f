"""The parts of one request: a batch of questions, a completion of several prompts.

Admission admits such a request once. Its parts share one place in the queue, and only one of them is in the queue at
a time.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from mcq_service.engine import Share
from mcq_service.runtime.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

T = TypeVar("T")


class PartState(Enum):
    """How far one part of a request is."""

    PENDING = "pending"
    WAITING = "waiting"
    GRANTED = "granted"
    OPEN = "open"
    ENDED = "ended"


class RequestPart:
    """One part of a request that has many. RequestParts creates it."""

    def __init__(self, share: Share, following: RequestPart | None = None) -> None:
        """Queue a part that uses its request's share of the engine; `following` is the next part."""
        self.share = share
        self.following = following
        self.left_queue = asyncio.Event()
        """Set once the part has its turn, or has ended without one."""
        self._state = PartState.PENDING
        self._moved = asyncio.Event()

    def move(self, state: PartState) -> None:
        """Set how far the part is."""
        self._state = state
        self._moved.set()
        self._moved = asyncio.Event()

    async def settled(self) -> PartState:
        """Wait until the part has opened its texts, must wait for its turn, or has ended; return which."""
        while self._state in {PartState.PENDING, PartState.GRANTED}:
            await self._moved.wait()
        return self._state

    def end(self, _: object = None) -> None:
        """Mark the part as ended."""
        self.left_queue.set()
        self.move(PartState.ENDED)

    async def handed_over(self) -> None:
        """Wait until a following part has opened its texts, must wait for its turn, or none is left.

        Then this part's openings can be freed: either the following part keeps them now, or it waits, and they would
        only take memory that others need.
        """
        part = self.following
        while part is not None:
            if await part.settled() is not PartState.ENDED:
                return
            part = part.following


class RequestParts:
    """The place in the queue of a request that has many parts. Admission creates it."""

    def __init__(self, count: int, *, on_empty: Callable[[RequestParts], None]) -> None:
        """Wait with this many parts; call `on_empty` when none of them waits any more."""
        self.waiting = count
        """The number of parts that have not had their turn."""
        self._share = Share()
        self._on_empty = on_empty

    async def gather(self, works: Sequence[Callable[[RequestPart], Coroutine[Any, Any, T]]]) -> list[T]:
        """Run all parts; return their results in order. The first failure cancels the others and is raised.

        A part starts when the part before it has its turn, or has ended without one.
        """
        tasks: list[asyncio.Task[T]] = []
        parts: list[RequestPart] = []
        for _ in works:
            parts.append(RequestPart(self._share, parts[-1] if parts else None))
        async with task_group() as group:
            for work, part in zip(works, reversed(parts), strict=True):
                tasks.append(group.create_task(work(part)))
                tasks[-1].add_done_callback(part.end)
                await part.left_queue.wait()
                self.waiting -= 1
            self._on_empty(self)
        return [task.result() for task in tasks]
