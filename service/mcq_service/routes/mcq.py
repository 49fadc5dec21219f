"""POST /api/v1/mcq/answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from mcq_service.answering import Answering
from mcq_service.protocol import Answer, Problem, Question
from mcq_service.protocol.problem import MEDIA_TYPE
from mcq_service.routes.disconnect import unless_client_leaves

router = APIRouter(prefix="/api/v1", tags=["mcq"])

_PROBLEM = {"model": Problem, "content": {MEDIA_TYPE: {}}}
PROBLEMS: dict[int | str, dict[str, object]] = {
    status: {"description": description, **_PROBLEM}
    for status, description in {
        400: "The body is not JSON.",
        413: "The body is too large.",
        415: "The body is not declared as JSON.",
        422: "The question can't be answered as it stands.",
        429: "Too many requests are waiting; see Retry-After.",
        503: "The model is loading, or the replica is shutting down.",
        504: "The answer took too long.",
    }.items()
}


def current_answering(request: Request) -> Answering:
    """The use cases; raises NotReady before the model is loaded, Draining after SIGTERM."""
    found: Answering = request.app.state.lifecycle.require_answering()
    return found


@router.post("/mcq/answer", responses=PROBLEMS)
async def answer(
    request: Request, question: Question, answering: Annotated[Answering, Depends(current_answering)]
) -> Answer:
    """Answer one multiple-choice question."""
    request.state.mode = question.mode or answering.default_mode
    return await unless_client_leaves(request, answering.answer(question))
