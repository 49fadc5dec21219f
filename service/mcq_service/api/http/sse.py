"""Server-sent events: the response begins with the first of them, and a failure after that is one of them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from fastapi.responses import StreamingResponse

from mcq_service.api.http.disconnect import unless_client_leaves
from mcq_service.api.http.errors import counted
from mcq_service.api.problems import ClientLeft, unexpected

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from fastapi import Request

    from mcq_service.api.problems import ProblemError

    Failed = Callable[[ProblemError], str]

T = TypeVar("T")

MEDIA_TYPE = "text/event-stream"


async def response(
    request: Request, events: AsyncGenerator[T], *, line: Callable[[T], str], failed: Failed, end: str = ""
) -> StreamingResponse:
    """The events as `line` writes them, and a failure as `failed` does; what fails before the first is raised.

    `end` is what a stream that did not fail ends with.
    """
    first = await unless_client_leaves(request, events.asend(None))
    return StreamingResponse(
        _lines(request, first, events, line=line, failed=failed, end=end),
        media_type=MEDIA_TYPE,
        # Proxies that buffer would hold the answer back until the reasoning is there.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(
    request: Request, first: T, events: AsyncGenerator[T], *, line: Callable[[T], str], failed: Failed, end: str
) -> AsyncIterator[str]:  # fmt: skip
    try:
        async with aclosing(events):
            yield line(first)
            async for event in events:
                yield line(event)
            if end:
                yield end
    except Exception as error:  # noqa: BLE001 - the status is sent already: the stream says what went wrong
        problem = unexpected(error)
        counted(request.scope, problem)
        yield failed(problem)
    except BaseException:  # the client left: whoever serves us cancels or closes this
        counted(request.scope, ClientLeft("Nobody waits for this answer any more."))
        raise
