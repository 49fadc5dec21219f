"""Server-sent events. The response starts with the first event; a later failure is an event too."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from fastapi.responses import StreamingResponse

from mcq_service.api.error_mapping import as_problem
from mcq_service.api.http.disconnect import cancel_on_disconnect
from mcq_service.api.http.errors import counted_response
from mcq_service.api.problems import ClientLeft

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from fastapi import Request

    from mcq_service.api.problems import ProblemError

    Failed = Callable[[ProblemError], str]

T = TypeVar("T")

MEDIA_TYPE = "text/event-stream"


async def event_stream(
    request: Request, events: AsyncGenerator[T], *, line: Callable[[T], str], failed: Failed, end: str = ""
) -> StreamingResponse:
    """Return the events as a response; raise a failure before the first event.

    `line` formats an event, `failed` a failure. `end` closes a stream that did not fail.
    """
    first = await cancel_on_disconnect(request, events.asend(None))
    return StreamingResponse(
        _lines(request, first, events, line=line, failed=failed, end=end),
        media_type=MEDIA_TYPE,
        # A buffering proxy would hold the answer back until the reasoning is complete.
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
    except Exception as error:  # noqa: BLE001 - the status is sent already, so the stream reports the error
        problem = as_problem(error)
        counted_response(request.scope, problem)
        yield failed(problem)
    except BaseException:  # the client left: the server cancels or closes this generator
        counted_response(request.scope, ClientLeft("The client left before its answer."))
        raise
