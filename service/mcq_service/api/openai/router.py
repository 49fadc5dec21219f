"""The surface that OpenAI's clients know: /v1/models, /v1/completions and /v1/chat/completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from mcq_service.api.http import sse
from mcq_service.api.http.disconnect import unless_client_leaves
from mcq_service.api.http.json_route import JSONRoute
from mcq_service.api.openai import errors
from mcq_service.api.openai.chat_schemas import ChatCompletion, ChatRequest, Chunk
from mcq_service.api.openai.completion_schemas import Completion, CompletionRequest
from mcq_service.api.openai.schemas import Failure, Model, Models
from mcq_service.api.problems import NoSuchModel, NoTokens
from mcq_service.openai import Chats, Completing, Completions
from mcq_service.runtime.builder import Serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from mcq_service.api.problems import ProblemError

router = APIRouter(prefix="/v1", tags=["openai"], route_class=JSONRoute)

_NOT_HERE: dict[int | str, dict[str, Any]] = {
    404: {"model": Failure, "description": "There is no such model here."}
}
_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The whole answer; with `stream`, chunks of it as events, of which the last is `[DONE]`.",
        "content": {
            sse.MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "description": "One event; its data is JSON but for the last's.",
                    "properties": {"data": {"type": "string"}},
                    "required": ["data"],
                }
            }
        },
    },
    **_NOT_HERE,
    501: {"model": Failure, "description": "The engine is another server, which has this surface itself."},
}


def current_serving(request: Request) -> Serving:
    """What answers; raises NotReady before the model is loaded, Draining after SIGTERM."""
    found: Serving = request.app.state.lifecycle.require_serving()
    return found


ServingDep = Annotated[Serving, Depends(current_serving)]


def current_completing(serving: ServingDep) -> Completing:
    """The use cases; raises NoTokens where the engine is another server."""
    if serving.completing is None:
        raise NoTokens("This replica's engine is another OpenAI-compatible server: send this request to it.")
    return serving.completing


CompletingDep = Annotated[Completing, Depends(current_completing)]


@router.get("/models")
async def models(serving: ServingDep) -> Models:
    """Say which model answers."""
    return Models(data=[_model(serving)])


@router.get("/models/{model:path}", responses=_NOT_HERE)
async def model(model: str, serving: ServingDep) -> Model:
    """Say what is known of the model that answers."""
    _must_be(model, serving.answering.model)
    return _model(serving)


@router.post("/completions", responses=_STREAMED, response_model=Completion)
async def completions(request: Request, wanted: CompletionRequest, completing: CompletingDep) -> Response:
    """Go on from a prompt, or say how probable it is."""
    _must_be(wanted.model, completing.model)
    use_case = Completions(completing)
    if wanted.stream:
        return await _stream(request, use_case.stream(wanted))
    return _json(await unless_client_leaves(request, use_case.whole(wanted)))


@router.post("/chat/completions", responses=_STREAMED, response_model=ChatCompletion)
async def chat_completions(request: Request, wanted: ChatRequest, completing: CompletingDep) -> Response:
    """Write the next turn of a conversation."""
    _must_be(wanted.model, completing.model)
    use_case = Chats(completing)
    if wanted.stream:
        return await _stream(request, use_case.stream(wanted))
    return _json(await unless_client_leaves(request, use_case.whole(wanted)))


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")


async def _stream(request: Request, chunks: AsyncGenerator[Chunk | Completion]) -> Response:
    return await sse.response(request, chunks, line=_line, failed=_failed, end="data: [DONE]\n\n")


def _line(chunk: Chunk | Completion) -> str:
    return f"data: {chunk.model_dump_json()}\n\n"


def _failed(problem: ProblemError) -> str:
    return f"data: {errors.failure(problem).model_dump_json()}\n\n"


def _must_be(asked: str | None, served: str) -> None:
    if asked not in {None, served}:
        raise NoSuchModel(f"This replica serves {served}.")  # noqa: EM102


def _model(serving: Serving) -> Model:
    completing = serving.completing
    return Model(
        id=serving.answering.model,
        created=serving.since,
        owned_by="mcq-operator",
        max_model_len=None if completing is None else completing.context_length,
    )
