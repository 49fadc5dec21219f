"""OpenAI's paths: /v1/models, /v1/completions and /v1/chat/completions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response

from mcq_service.api.current_backend import NO_SUCH_MODEL, BackendDep, check_model
from mcq_service.api.http import sse
from mcq_service.api.http.disconnect import cancel_on_disconnect
from mcq_service.api.http.json_route import JSONRoute
from mcq_service.api.openai import errors
from mcq_service.api.openai.chat_schemas import ChatChunk, ChatCompletion, ChatRequest
from mcq_service.api.openai.completion_schemas import Completion, CompletionRequest
from mcq_service.api.openai.schemas import ErrorResponse, Model, Models, TypeSafeModel
from mcq_service.api.problems import NoTokens
from mcq_service.openai import ChatCompletions, Completions, Generation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from mcq_service.api.problems import ProblemError
    from mcq_service.runtime.builder import Backend

T = TypeVar("T", ChatRequest, CompletionRequest)

router = APIRouter(prefix="/v1", tags=["openai"], route_class=JSONRoute)

_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The whole answer; with `stream`, chunks of it as events. The last event is `[DONE]`.",
        "content": {
            sse.MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "description": "One event; its data is JSON, except for the last.",
                    "properties": {"data": {"type": "string"}},
                    "required": ["data"],
                }
            }
        },
    },
    **NO_SUCH_MODEL,
    501: {
        "model": ErrorResponse,
        "description": "The engine is another server, which has this surface itself.",
    },
}


async def current_generation(backend: BackendDep) -> Generation:
    """Return the generation. Raises NoTokens if the engine is another server."""
    if backend.generation is None:
        raise NoTokens("This replica's engine is another OpenAI-compatible server: send this request to it.")
    return backend.generation


GenerationDep = Annotated[Generation, Depends(current_generation)]


@router.get("/models")
async def models(backend: BackendDep) -> Models:
    """List the served model."""
    described = TypeSafeModel(
        name=backend.mcq.model,
        description=f"Answers multiple-choice and typed questions with {backend.engine}.",
        release_date=datetime.fromtimestamp(backend.since, UTC).date().isoformat(),
    )
    return Models(data=[_model(backend)], models=[described])


@router.get("/models/{model:path}", responses=NO_SUCH_MODEL)
async def model(model: str, backend: BackendDep) -> Model:
    """Describe the served model."""
    check_model(model, backend.mcq.model)
    return _model(backend)


@router.post("/completions", responses=_STREAMED, response_model=Completion)
async def completions(request: Request, body: CompletionRequest, generation: GenerationDep) -> Response:
    """Continue a prompt, or score it."""
    use_case = Completions(generation)
    return await _respond(request, body, generation.model, whole=use_case.complete, chunks=use_case.stream)


@router.post("/chat/completions", responses=_STREAMED, response_model=ChatCompletion)
async def chat_completions(request: Request, body: ChatRequest, generation: GenerationDep) -> Response:
    """Write the next turn of a conversation."""
    use_case = ChatCompletions(generation)
    return await _respond(request, body, generation.model, whole=use_case.complete, chunks=use_case.stream)


async def _respond(
    request: Request, body: T, model: str, *, whole: Callable[[T], Coroutine[Any, Any, str]],
    chunks: Callable[[T], AsyncGenerator[ChatChunk | Completion]],
) -> Response:  # fmt: skip
    check_model(body.model, model)
    if body.stream:
        end = "data: [DONE]\n\n"
        return await sse.event_stream(
            request, chunks(body), format_event=_format_chunk, format_problem=_format_problem, end=end
        )
    text = await cancel_on_disconnect(request, whole(body))
    return Response(text, media_type="application/json")


def _format_chunk(chunk: ChatChunk | Completion) -> str:
    return f"data: {chunk.model_dump_json()}\n\n"


def _format_problem(problem: ProblemError) -> str:
    return f"data: {errors.error_response(problem).model_dump_json()}\n\n"


def _model(backend: Backend) -> Model:
    generation = backend.generation
    return Model(
        id=backend.mcq.model,
        created=backend.since,
        owned_by="mcq-operator",
        max_model_len=None if generation is None else generation.context_length,
    )
