"""Several tasks for one caller: none outlives it, and the first failure ends the others."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable

T = TypeVar("T")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Wait for the group's tasks. The first failure is raised as it is, when the others have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def gather(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What each comes to, in their order. Fails as `task_group` does, unlike asyncio's, which leaves the others be."""
    async with task_group() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]
