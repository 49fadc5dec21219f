"""Builds the FastAPI app from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

from mcq_service.routes import health, mcq, openai, openapi, page, problems
from mcq_service.routes.access import AccessLog
from mcq_service.routes.body import BodyLimits
from mcq_service.routes.headers import HeaderLimits
from mcq_service.routes.keys import RequireKey
from mcq_service.routes.methods import HeadAndOptions

if TYPE_CHECKING:
    from pathlib import Path

    from mcq_service.keys import Keys
    from mcq_service.lifecycle import Lifecycle
    from mcq_service.telemetry import Metrics, Tracing


def build(
    lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing, keys: Keys | None = None,
    trace_url: str | None = None, exam_file: Path | None = None,
) -> FastAPI:  # fmt: skip
    """The HTTP surface of one replica; `lifecycle` says whether and with what it answers.

    `trace_url` is where the page's traces can be looked at, with {trace_id} in place of the id, `exam_file`
    where the operator tells of the last exam.
    """
    app = FastAPI(
        title="MCQ service",
        description="Answers multiple-choice questions: the choice, a probability for every choice, the reasoning.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.lifecycle = lifecycle
    app.state.metrics = metrics
    app.state.keys = keys
    app.state.trace_url = trace_url
    app.state.exam_file = exam_file
    app.include_router(mcq.router)
    app.include_router(openai.router)
    app.include_router(health.router)
    app.include_router(page.router)
    # The last one added is the outermost.
    app.add_middleware(BodyLimits)
    app.add_middleware(HeadAndOptions)
    if keys is not None:
        metrics.watch_keys(keys)
        app.add_middleware(RequireKey, keys=keys)
    app.add_middleware(HeaderLimits)
    app.add_middleware(AccessLog)
    problems.install(app)
    openapi.describe(app, keyed=keys is not None)
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=tracing.provider,
        excluded_urls="startupz,readyz,livez,answerz,metrics",
        exclude_spans=["receive", "send"],
    )
    return app
