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

    Call it after the body has been read.
    """
    task = asyncio.create_task(work)
    disconnect = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        disconnected = not task.done()
    finally:
        disconnect.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await disconnect
    if disconnected:
        with suppress(asyncio.CancelledError):
            await task
        raise ClientLeft("The client left before its answer.")
    return await task


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
