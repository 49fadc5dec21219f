"""Run several asyncio tasks for one caller: none outlives it, and the first failure cancels the others."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable

T = TypeVar("T")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Wait for the group's tasks. Raise the first failure itself, not a group, after the others have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def gather(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all coroutines; return their results in order. Fails as `task_group`, unlike asyncio's."""
    async with task_group() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]
