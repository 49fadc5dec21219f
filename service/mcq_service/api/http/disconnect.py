"""Cancel the work for a client that disconnects."""

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


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await the work; cancel it and raise ClientLeft if the client disconnects.

    Call it after the body was read.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(request))
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
        raise ClientLeft("The client left before its answer.")
    return await working


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
