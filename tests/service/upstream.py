"""A scripted OpenAI-compatible server on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.service.fakes import until

LOGPROBS = {" B": -0.1, " A": -3.0, "\n": -7.5}
USAGE = {"prompt_tokens": 140, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 115}}


def scored(top: dict[str, float] | None = None) -> Response:
    """Return a completion of one token in vLLM's form."""
    logprobs = {"top_logprobs": [LOGPROBS if top is None else top]}
    return JSONResponse({"choices": [{"text": " B", "logprobs": logprobs}], "usage": USAGE})


def scored_as_chat() -> Response:
    """Return the same in llama-server's form."""
    top = [{"token": token, "logprob": value} for token, value in LOGPROBS.items()]
    content = [{"token": " B", "logprob": -0.1, "top_logprobs": top}]
    return JSONResponse({"choices": [{"text": " B", "logprobs": {"content": content}}], "usage": USAGE})


def failing(status: int, message: str = "secret words of a client", **headers: str) -> Response:
    return JSONResponse({"error": {"message": message, "code": status}}, status, headers)


@dataclass
class Upstream:
    """An OpenAI-compatible server that sends `replies` in turn and repeats the last one."""

    replies: list[Callable[[], Response]] = field(default_factory=lambda: [scored])
    models: list[str] = field(default_factory=lambda: ["m"])
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    left: int = 0
    url: str = ""

    async def complete(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        self.headers.append(dict(request.headers))
        return self.replies.pop(0)() if len(self.replies) > 1 else self.replies[0]()

    async def list(self, _: Request) -> Response:
        return JSONResponse({"data": [{"id": name} for name in self.models]})

    def pieces(self, *texts: str, pause: float = 0, done: bool = True) -> Callable[[], Response]:
        """Return a reply that streams these texts."""

        async def lines() -> AsyncIterator[str]:
            try:
                for text in texts:
                    yield f"data: {json.dumps({'choices': [{'text': text}]})}\n\n"
                    await asyncio.sleep(pause)
                usage = {**USAGE, "completion_tokens": len(texts)}
                yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
                if done:
                    yield "data: [DONE]\n\n"
            except asyncio.CancelledError:
                self.left += 1
                raise

        return lambda: StreamingResponse(lines(), media_type="text/event-stream")


@asynccontextmanager
async def served(upstream: Upstream) -> AsyncIterator[None]:
    app = Starlette(
        routes=[
            Route("/v1/models", upstream.list),
            Route("/v1/completions", upstream.complete, methods=["POST"]),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    upstream.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield
    finally:
        server.should_exit = True
        await running
