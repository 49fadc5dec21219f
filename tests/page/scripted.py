"""A scripted service over real HTTP, for behaviour that a real service can't produce on demand.

The first word of a question selects the script that answers it.
"""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from mcq_service.api import page
from mcq_service.api.http import errors
from mcq_service.api.service.router import router as service_router
from mcq_service.api.service.schemas import Identity

TRACE = "0af7651916cd43dd8448eb211c80319c"
REASONING = "Jupiter turns once in about ten hours, faster than any other planet."
BASE = "https://mcq-operator.dev/problems"


IDENTITY = Identity(
    uri="hf://scripted/model",
    revision="1",
    digest="sha256:me",
    precision="int8",
    prompt_digest="sha256:prompt",
)


def ready() -> SimpleNamespace:
    """Return the parts of a lifecycle that the page's route reads."""
    defaults = SimpleNamespace(mode="explain", max_reasoning_tokens=96)
    mcq = SimpleNamespace(model="scripted/model", defaults=defaults)
    backend = SimpleNamespace(identity=IDENTITY, mcq=mcq)
    return SimpleNamespace(
        backend=backend, is_ready=True, status="ready", detail="Answering questions.", progress=None
    )


def fetching() -> SimpleNamespace:
    return SimpleNamespace(
        backend=None, is_ready=False, status="fetching", detail="630 of 1500 MB.", progress=0.42
    )


@dataclass
class Script:
    """The behaviour of the service, and the requests that it received."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    key: str | None = None
    """The only accepted key; None accepts any request."""
    lifecycle: SimpleNamespace = field(default_factory=ready)
    exam_file: Path | None = None
    """The operator's file with the result of the last exam."""
    left: threading.Event = field(default_factory=threading.Event)
    """Set when a client leaves a stream."""
    resume: threading.Event = field(default_factory=threading.Event)
    """A slow stream waits for this event halfway."""


def problem(status: int, slug: str, title: str, detail: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"{BASE}/{slug}", "title": title, "status": status, "detail": detail, **fields}


def refuse(body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(body, body["status"], headers, media_type="application/problem+json")


def decision(body: dict[str, Any]) -> dict[str, Any]:
    """Return the third choice with 70 %; the other choices share the rest."""
    choices = body["choices"]
    best = min(2, len(choices) - 1)
    rest = 0.3 / (len(choices) - 1)
    shares = [0.7 if index == best else rest for index in range(len(choices))]
    abstained = (body.get("min_confidence") or 0) > 0.7
    answer = {"label": chr(65 + best), "index": best, "text": choices[best]}
    escalation = {
        "answered_by": "http://large", "first_model": "small/model", "first_label": "A", "first_confidence": 0.41,
    }  # fmt: skip
    if body.get("select") == "all":
        return judgement(body, abstained=abstained)
    if body.get("none_of_these"):
        return way_out(body)
    return {
        "id": "mcq-1", "model": "scripted/model", "mode": body.get("mode", "explain"), "trace_id": TRACE,
        "answer": None if abstained else answer, "abstained": abstained, "confidence": 0.7, "margin": 0.7 - rest,
        "probabilities": [{"label": chr(65 + i), "probability": each} for i, each in enumerate(shares)],
        **({"escalation": escalation} if body["question"].startswith("Escalated") else {}),
    }  # fmt: skip


def judgement(body: dict[str, Any], *, abstained: bool) -> dict[str, Any]:
    """Return the first and the last choice as right, or none if the question asks for nothing."""
    choices = body["choices"]
    right = [] if abstained or body["question"].startswith("Nothing") else [0, len(choices) - 1]
    return {
        "id": "mcq-1", "model": "scripted/model", "mode": body["mode"], "trace_id": TRACE, "answer": None,
        "selected": [{"label": chr(65 + each), "index": each, "text": choices[each]} for each in right],
        "abstained": abstained, "confidence": 0.6, "margin": 0.2,
        "probabilities": [
            {"label": chr(65 + index), "probability": 0.8 if index in right else 0.4} for index in range(len(choices))
        ],
    }  # fmt: skip


def way_out(body: dict[str, Any]) -> dict[str, Any]:
    """Return the way out with 90 %."""
    labels = [chr(65 + index) for index in range(len(body["choices"]) + 1)]
    shares = [*(0.1 / len(body["choices"]) for _ in body["choices"]), 0.9]
    none = {"label": labels[-1], "probability": 0.9, "selected": True, "label_mass": 0.8}
    return {
        "id": "mcq-1", "model": "scripted/model", "mode": body["mode"], "trace_id": TRACE, "answer": None,
        "none_of_these": none, "abstained": False, "confidence": 0.9, "margin": 0.8,
        "probabilities": [
            {"label": label, "probability": share} for label, share in zip(labels, shares, strict=True)
        ],
    }  # fmt: skip


def complete_answer(body: dict[str, Any], reasoning: str | None) -> dict[str, Any]:
    usage = {"prompt_tokens": 1184, "completion_tokens": 31, "cached_tokens": 152}
    timings = {"queue_ms": 3.2, "answer_ms": 214.4, "total_ms": 1320.9}
    return {**decision(body), "reasoning": reasoning, "usage": usage, "timings": timings}


def event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def app(script: Script) -> FastAPI:
    """Return an app with the page's own routes and a scripted POST /api/v1/mcq/answer."""
    application = FastAPI(title="MCQ service", description="Scripted.", docs_url=None, redoc_url=None)
    application.state.trace_url = "http://jaeger.example:16686/trace/{trace_id}"
    application.include_router(page.router)
    application.include_router(service_router)
    errors.install(application)

    @application.middleware("http")
    async def needs_key(request: Request, call_next: Any) -> Response:
        application.state.lifecycle = script.lifecycle
        application.state.exam_file = script.exam_file
        guarded = request.url.path.startswith("/api/")
        if guarded and script.key and request.headers.get("authorization") != f"Bearer {script.key}":
            unauthorized = problem(401, "unauthorized", "A key is needed", "Send Authorization: Bearer.")
            return refuse(unauthorized, {"WWW-Authenticate": "Bearer"})
        response: Response = await call_next(request)
        return response

    @application.post("/api/v1/mcq/answer")
    async def answer(request: Request) -> Response:
        body = await request.json()
        script.bodies.append(body)
        script.keys.append(request.headers.get("authorization"))
        name = body["question"].split()[0].lower().strip("?")
        refusal = REFUSALS.get(name)
        if refusal:
            return refusal()
        return StreamingResponse(stream(name, body, script), media_type="text/event-stream")

    return application


REFUSALS = {
    "busy": lambda: refuse(
        problem(429, "overloaded", "Too many requests are waiting", "64 wait."), {"Retry-After": "2"}
    ),
    "loading": lambda: refuse(
        problem(503, "not-ready", "The model is not ready", "Loading: weights."), {"Retry-After": "5"}
    ),
    "bad": lambda: refuse(
        problem(
            422, "invalid-question", "The question can't be answered as it stands", "two faults",
            errors=[
                {"pointer": "/choices/1", "detail": "must not be blank"},
                {"pointer": "/min_confidence", "detail": "must be at most 1"},
            ],
        )
    ),
    "foreign": lambda: refuse(
        problem(
            422, "invalid-question", "The question can't be answered as it stands", "extra",
            errors=[{"pointer": "/extra", "detail": "not permitted"}],
        )
    ),
    "proxy": lambda: Response("<h1>Bad Gateway</h1>", 502, media_type="text/html"),
}  # fmt: skip


async def stream(name: str, body: dict[str, Any], script: Script) -> AsyncIterator[bytes]:
    """Yield the events of one answer; `slow` waits halfway, and `broken` and `lost` end early."""
    reasoning = None if body["mode"] == "answer" else REASONING
    if name == "markup":
        reasoning = "<b>bold</b> & <script>document.title = 'owned'</script>"
    pieces = [f"{word} " for word in reasoning.split(" ")] if reasoning else []
    reasons_first = body["mode"] == "reason"
    try:
        if not reasons_first:
            yield event("answer", decision(body))
        for index, piece in enumerate(pieces):
            if index == 3:
                if name == "broken":
                    yield event(
                        "problem", problem(504, "deadline-exceeded", "It took too long", "Try later.")
                    )
                    return
                if name == "lost":
                    return
                if name == "slow":
                    await wait_until_set(script.resume)
            yield event("reasoning", {"delta": piece})
        if reasons_first:
            yield event("answer", decision(body))
        yield event("done", complete_answer(body, reasoning))
    except (asyncio.CancelledError, GeneratorExit):
        script.left.set()
        raise


async def wait_until_set(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0.01)


@contextmanager
def serving(application: FastAPI) -> Iterator[str]:
    """Serve the app on the loopback address in a thread; yield its URL."""
    config = uvicorn.Config(application, port=0, log_level="warning", timeout_graceful_shutdown=1, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
