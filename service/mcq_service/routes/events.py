"""An answer as server-sent events: `answer`, `reasoning`, `done`, and `problem` where it fails on the way."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from fastapi.responses import StreamingResponse

from mcq_service.problems import ClientLeft, InternalError, ProblemError
from mcq_service.protocol import Answer, Decision
from mcq_service.routes.disconnect import unless_client_leaves
from mcq_service.routes.problems import counted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from fastapi import Request
    from pydantic import BaseModel

    from mcq_service.answering import Event

_log = logging.getLogger(__name__)
MEDIA_TYPE = "text/event-stream"
DESCRIBED: dict[str, Any] = {
    "description": "The answer; with `stream`, as events: `answer` (the decision), `reasoning` ({delta}, any number), "
    "`done` (the whole answer), `problem`. In mode reason the reasoning comes first.",
    "content": {
        MEDIA_TYPE: {
            "schema": {
                "type": "object",
                "description": "One event; its data is JSON.",
                "properties": {
                    "event": {"enum": ["answer", "reasoning", "done", "problem"]},
                    "data": {"type": "string", "contentMediaType": "application/json"},
                },
                "required": ["event", "data"],
            }
        }
    },
}


def wanted(request: Request) -> bool:
    """Whether the client accepts nothing but events."""
    return request.headers.get("accept", "").partition(";")[0].strip().lower() == MEDIA_TYPE


async def response(request: Request, events: AsyncGenerator[Event]) -> StreamingResponse:
    """The events as a response, which begins with the first: what fails before it is a plain problem."""
    first = await unless_client_leaves(request, events.asend(None))
    return StreamingResponse(
        _lines(request, first, events),
        media_type=MEDIA_TYPE,
        # Proxies that buffer would hold the answer back until the reasoning is there.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(request: Request, first: Event, events: AsyncGenerator[Event]) -> AsyncIterator[str]:
    try:
        async with aclosing(events):
            yield _line(first)
            async for event in events:
                yield _line(event)
    except ProblemError as problem:
        yield _failed(request, problem)
    except Exception:  # noqa: BLE001 - the status is sent already: the stream says what went wrong
        _log.exception("a stream failed")
        yield _failed(request, InternalError("This is a defect of the service; its log says more."))
    except BaseException:  # the client left: whoever serves us cancels or closes this
        _failed(request, ClientLeft("Nobody waits for this answer any more."))
        raise


def _failed(request: Request, problem: ProblemError) -> str:
    counted(request.scope, problem)
    return _event("problem", problem.problem())


def _line(event: Event) -> str:
    if isinstance(event, Answer):
        return _event("done", event)
    return _event("answer" if isinstance(event, Decision) else "reasoning", event)


def _event(name: str, data: BaseModel) -> str:
    text = data.model_dump_json(exclude_none=name == "problem")
    return f"event: {name}\ndata: {text}\n\n"
