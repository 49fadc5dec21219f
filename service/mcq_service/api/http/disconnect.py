"""A client that leaves stops the work done for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from mcq_service.api.problems import ClientLeft

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from fastapi import Request

T = TypeVar("T")


async def unless_client_leaves(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await the work; cancel it and raise ClientLeft if the client disconnects.

    The body must have been read before.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_leaving(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        left = not working.done()
    finally:
        leaving.cancel()
        working.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
    if left:
        with suppress(asyncio.CancelledError):
            await working
        raise ClientLeft("Nobody waits for this answer any more.")
    return await working


async def _leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
