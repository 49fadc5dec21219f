"""POST /v1/systemone, as the client `typesafe-sdk` sends it: typed questions about one state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from mcq_service.api.current_backend import NO_SUCH_MODEL, BackendDep, check_model
from mcq_service.api.http.disconnect import cancel_on_disconnect
from mcq_service.api.http.json_route import JSONRoute
from mcq_service.api.systemone.schemas import (
    Answer,
    ChoiceAnswer,
    ChoiceQuestion,
    NoulAnswer,
    NoulQuestion,
    Question,
    ScoreAnswer,
    ScoreQuestion,
    SystemOneRequest,
    SystemOneResponse,
    Usage,
)
from mcq_service.mcq import TypedQuestion
from mcq_service.mcq.probabilities import certainty, expected_level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_service.mcq import TypedAnswers

router = APIRouter(prefix="/v1", tags=["decisions"], route_class=JSONRoute)


@router.post("/systemone", responses=NO_SUCH_MODEL, response_model=SystemOneResponse)
async def system_one(request: Request, body: SystemOneRequest, backend: BackendDep) -> Response:
    """Answer up to 256 questions about one state: yes or no (noul), choices and scores."""
    use_case = backend.typed_questions
    check_model(body.model, use_case.model)
    questions = [TypedQuestion(each.text, each.options) for each in body.questions.values()]
    answers = await cancel_on_disconnect(request, use_case.answer(body.text, questions))
    # In a thread: there may be 100,000 probabilities.
    text = await asyncio.to_thread(_response_json, body, answers, model=use_case.model)
    return Response(text, media_type="application/json")


def _response_json(body: SystemOneRequest, answers: TypedAnswers, *, model: str) -> str:
    asked = zip(body.questions.items(), answers.probabilities, strict=True)
    return SystemOneResponse(
        model=model,
        answers={name: _answer(question, probabilities) for (name, question), probabilities in asked},
        usage=Usage(input_tokens=answers.usage.prompt_tokens),
    ).model_dump_json()


def _answer(question: Question, probabilities: Sequence[float]) -> Answer:
    match question:
        case NoulQuestion():
            return NoulAnswer(noul=probabilities[0])
        case ChoiceQuestion():
            by_name = dict(zip(question.criteria, probabilities, strict=True))
            return ChoiceAnswer(
                choice=max(by_name, key=by_name.__getitem__),
                confidence=certainty(probabilities),
                probabilities=by_name,
            )
        case ScoreQuestion():
            return ScoreAnswer(
                score=expected_level(probabilities),
                confidence=certainty(probabilities),
                legend={str(level): content for level, content in enumerate(question.criteria)},
                probabilities={str(level): each for level, each in enumerate(probabilities)},
            )
    raise AssertionError(f"{question.type} is refused")
