"""OpenAI's paths: /v1/models, /v1/completions and /v1/chat/completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response

from mcq_service.api.http import sse
from mcq_service.api.http.disconnect import cancel_on_disconnect
from mcq_service.api.http.json_route import JSONRoute
from mcq_service.api.openai import errors
from mcq_service.api.openai.chat_schemas import ChatChunk, ChatCompletion, ChatRequest
from mcq_service.api.openai.completion_schemas import Completion, CompletionRequest
from mcq_service.api.openai.schemas import ErrorResponse, Model, Models
from mcq_service.api.problems import NoSuchModel, NoTokens
from mcq_service.openai import ChatCompletions, Completions, Generation
from mcq_service.runtime.builder import Backend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from mcq_service.api.problems import ProblemError

T = TypeVar("T", ChatRequest, CompletionRequest)

router = APIRouter(prefix="/v1", tags=["openai"], route_class=JSONRoute)

_NO_SUCH_MODEL: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "There is no such model here."}
}
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
    **_NO_SUCH_MODEL,
    501: {
        "model": ErrorResponse,
        "description": "The engine is another server, which has this surface itself.",
    },
}


def current_backend(request: Request) -> Backend:
    """Return the backend. Raises NotReady before the model is loaded, Draining after SIGTERM."""
    backend: Backend = request.app.state.lifecycle.require_backend()
    return backend


BackendDep = Annotated[Backend, Depends(current_backend)]


def current_generation(backend: BackendDep) -> Generation:
    """Return the generation. Raises NoTokens if the engine is another server."""
    if backend.generation is None:
        raise NoTokens("This replica's engine is another OpenAI-compatible server: send this request to it.")
    return backend.generation


GenerationDep = Annotated[Generation, Depends(current_generation)]


@router.get("/models")
async def models(backend: BackendDep) -> Models:
    """List the served model."""
    return Models(data=[_model(backend)])


@router.get("/models/{model:path}", responses=_NO_SUCH_MODEL)
async def model(model: str, backend: BackendDep) -> Model:
    """Describe the served model."""
    _check_model(model, backend.mcq.model)
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
    _check_model(body.model, model)
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


def _check_model(requested: str | None, served: str) -> None:
    if requested not in {None, served}:
        raise NoSuchModel(f"This replica serves {served}.")


def _model(backend: Backend) -> Model:
    generation = backend.generation
    return Model(
        id=backend.mcq.model,
        created=backend.since,
        owned_by="mcq-operator",
        max_model_len=None if generation is None else generation.context_length,
    )
