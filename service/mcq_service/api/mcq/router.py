"""POST /api/v1/mcq/answer, whole or streamed, and POST /api/v1/mcq/answers for a batch."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response

from mcq_service.api.current_backend import BackendDep
from mcq_service.api.http import validation
from mcq_service.api.http.disconnect import cancel_on_disconnect
from mcq_service.api.http.json_route import JSONRoute
from mcq_service.api.mcq import answer_events
from mcq_service.api.mcq.answer_schemas import Answer, Results
from mcq_service.api.mcq.batch_schemas import Batch, MalformedQuestion
from mcq_service.api.mcq.question_schemas import NO_ESCALATION, AnswerRequest
from mcq_service.api.problems import MEDIA_TYPE, InvalidQuestion, Problem

router = APIRouter(prefix="/api/v1", tags=["mcq"], route_class=JSONRoute)

_PROBLEM = {"model": Problem, "content": {MEDIA_TYPE: {}}}
PROBLEMS: dict[int | str, dict[str, object]] = {
    status: {"description": description, **_PROBLEM}
    for status, description in {
        400: "The body is not JSON, or has too many values.",
        413: "The body is too large, or the request asks for too much at once.",
        415: "The body is not declared as JSON, or is compressed.",
        422: "The question can't be answered as it stands.",
        429: "Too many requests are waiting; see Retry-After.",
        502: "The engine is another server, and it failed.",
        503: "The model is loading, or the replica is shutting down.",
        504: "The answer took too long.",
    }.items()
}


async def may_escalate(
    escalation: Annotated[
        str | None,
        Header(alias=NO_ESCALATION[0], description="none: abstain instead of asking another solver."),
    ] = None,
) -> bool:
    """Return whether another solver may be asked. Raises InvalidQuestion for an unknown value of the header."""
    name, value = NO_ESCALATION
    if escalation not in {None, value}:
        raise InvalidQuestion(f"Send {value} in the header {name}, or leave the header out.")
    return escalation is None


MayEscalate = Annotated[bool, Depends(may_escalate)]


@router.post("/mcq/answer", responses={200: answer_events.RESPONSE_SCHEMA, **PROBLEMS}, response_model=Answer)
async def answer(
    request: Request, question: AnswerRequest, backend: BackendDep, escalate: MayEscalate
) -> Answer | Response:
    """Answer one multiple-choice question."""
    mcq = backend.mcq
    request.state.mode = question.mode or mcq.defaults.mode
    if question.stream or answer_events.accepts_events_only(request):
        return await answer_events.answer_stream(request, mcq.stream(question, escalate=escalate))
    return await cancel_on_disconnect(request, mcq.answer(question, escalate=escalate))


@router.post("/mcq/answers", responses=PROBLEMS, response_model=Results)
async def answers(request: Request, batch: Batch, backend: BackendDep, escalate: MayEscalate) -> Response:
    """Answer up to 256 questions; each gets an answer or a problem of its own."""
    questions = [
        validation.from_pydantic(each.errors, each.value) if isinstance(each, MalformedQuestion) else each
        for each in batch.items
    ]
    results = await cancel_on_disconnect(request, backend.mcq.answers(questions, escalate=escalate))
    # Serialised here: FastAPI would go through the results three times on the event loop.
    return Response(await asyncio.to_thread(results.model_dump_json), media_type="application/json")
