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

T = TypeVar("T")

MEDIA_TYPE = "text/event-stream"


async def event_stream(
    request: Request, events: AsyncGenerator[T], *, format_event: Callable[[T], str],
    format_problem: Callable[[ProblemError], str], end: str = "",
) -> StreamingResponse:  # fmt: skip
    """Return the events as a response. If the first event fails, raise its error.

    `end` closes a stream that did not fail.
    """
    first = await cancel_on_disconnect(request, events.asend(None))

    async def chunks() -> AsyncIterator[str]:
        try:
            async with aclosing(events):
                yield format_event(first)
                async for event in events:
                    yield format_event(event)
                if end:
                    yield end
        except Exception as error:  # noqa: BLE001 - the status is sent already, so the stream reports the error
            problem = as_problem(error)
            counted_response(request.scope, problem)
            yield format_problem(problem)
        except BaseException:  # the client left: the server cancels or closes this generator
            counted_response(request.scope, ClientLeft("The client left before its answer."))
            raise

    return StreamingResponse(
        chunks(),
        media_type=MEDIA_TYPE,
        # A buffering proxy would hold the answer back until the reasoning is complete.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
