"""POST /v1/decisions, as the client `openai` sends it: typed questions about one input."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from mcq_service.api.current_backend import NO_SUCH_MODEL, BackendDep, check_model
from mcq_service.api.decisions.schemas import (
    Answer,
    ChoiceAnswer,
    ChoiceProbability,
    ChoiceQuestion,
    Decision,
    DecisionRequest,
    InputTokens,
    LevelProbability,
    PredicateAnswer,
    PredicateQuestion,
    Question,
    RefusalAnswer,
    ScoreAnswer,
    Usage,
)
from mcq_service.api.http.disconnect import cancel_on_disconnect
from mcq_service.api.http.json_route import JSONRoute
from mcq_service.mcq import TypedQuestion
from mcq_service.mcq.probabilities import certainty, expected_level
from mcq_service.telemetry.exam_requests import of_exam

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_service.mcq import TypedAnswers

router = APIRouter(prefix="/v1", tags=["decisions"], route_class=JSONRoute)


@router.post("/decisions", responses=NO_SUCH_MODEL, response_model=Decision)
async def decisions(request: Request, body: DecisionRequest, backend: BackendDep) -> Response:
    """Answer up to 400 questions about one input: predicates, choices and scores."""
    use_case = backend.typed_questions
    check_model(body.model, use_case.model)
    questions = [TypedQuestion(each.text, each.options) for each in body.questions]
    answers = await cancel_on_disconnect(request, use_case.answer(body.state, questions))
    # In a thread: there may be 100,000 probabilities.
    text = await asyncio.to_thread(
        _decision_json,
        body,
        answers,
        model=use_case.model,
        # An exam measures the model at every confidence.
        min_confidence=0 if of_exam.get() else backend.mcq.defaults.min_confidence,
    )
    return Response(text, media_type="application/json")


def _decision_json(body: DecisionRequest, answers: TypedAnswers, *, model: str, min_confidence: float) -> str:
    return Decision(
        model=model,
        answers=[
            _answer(question, probabilities, min_confidence=min_confidence)
            for question, probabilities in zip(body.questions, answers.probabilities, strict=True)
        ],
        usage=Usage(
            input_tokens=answers.usage.prompt_tokens,
            input_tokens_details=InputTokens(cached_tokens=answers.usage.cached_tokens),
            total_tokens=answers.usage.prompt_tokens,
        ),
    ).model_dump_json()


def _answer(question: Question, probabilities: Sequence[float], *, min_confidence: float) -> Answer:
    common: dict[str, Any] = {"name": question.name}
    if max(probabilities) < min_confidence:
        return RefusalAnswer(**common)
    if isinstance(question, PredicateQuestion):
        return PredicateAnswer(**common, probability=probabilities[0])
    confidence = certainty(probabilities)
    if isinstance(question, ChoiceQuestion):
        return ChoiceAnswer(
            **common,
            choice=question.choices[max(range(len(probabilities)), key=probabilities.__getitem__)].value,
            confidence=confidence,
            probabilities=[
                ChoiceProbability(value=choice.value, probability=probability)
                for choice, probability in zip(question.choices, probabilities, strict=True)
            ],
        )
    return ScoreAnswer(
        **common,
        score=expected_level(probabilities),
        confidence=confidence,
        probabilities=[
            LevelProbability(label=level.label, value=value, probability=probability)
            for value, (level, probability) in enumerate(zip(question.levels, probabilities, strict=True))
        ],
    )
