"""An answer as server-sent events: `answer`, `reasoning`, `done`, and `problem` if it fails midway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcq_service.api.http import sse
from mcq_service.api.http.sse import MEDIA_TYPE
from mcq_service.api.mcq.answer_schemas import Answer, Decision

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fastapi import Request
    from fastapi.responses import StreamingResponse
    from pydantic import BaseModel

    from mcq_service.api.problems import ProblemError
    from mcq_service.mcq import Event

RESPONSE_SCHEMA: dict[str, Any] = {
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


def accepts_events_only(request: Request) -> bool:
    """Return whether the client accepts only events."""
    return request.headers.get("accept", "").partition(";")[0].strip().lower() == MEDIA_TYPE


async def answer_stream(request: Request, events: AsyncGenerator[Event]) -> StreamingResponse:
    """Return the events as a response. It starts with the first event: an earlier failure is a plain problem."""
    return await sse.event_stream(request, events, format_event=_format_event, format_problem=_format_problem)


def _format_problem(problem: ProblemError) -> str:
    return _event("problem", problem.problem())


def _format_event(event: Event) -> str:
    if isinstance(event, Answer):
        return _event("done", event)
    return _event("answer" if isinstance(event, Decision) else "reasoning", event)


def _event(name: str, data: BaseModel) -> str:
    text = data.model_dump_json(exclude_none=name == "problem")
    return f"event: {name}\ndata: {text}\n\n"
