"""Run asyncio tasks for one caller: none outlives it, and the first failure cancels the others."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable

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
    """Run all coroutines; return their results in order. Fails like `task_group`, unlike asyncio's `gather`."""
    async with task_group() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]


async def emitted(work: Callable[[Callable[[T], None]], Coroutine[Any, Any, None]]) -> AsyncGenerator[T]:
    """Yield what `work` emits, until it ends or fails. Closing the iterator cancels it."""
    values: asyncio.Queue[T | None] = asyncio.Queue()
    # A task of its own: several tasks may consume the values, and a deadline can't span them.
    task = asyncio.create_task(work(values.put_nowait))
    task.add_done_callback(lambda _: values.put_nowait(None))
    try:
        while (value := await values.get()) is not None:
            yield value
        await task
    finally:
        task.cancel()
