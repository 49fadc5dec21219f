"""Builds the FastAPI app from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

from mcq_service.routes import health, mcq, problems
from mcq_service.routes.body import BodyLimits

if TYPE_CHECKING:
    from mcq_service.lifecycle import Lifecycle
    from mcq_service.telemetry import Metrics, Tracing


def build(lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing) -> FastAPI:
    """The HTTP surface of one replica; `lifecycle` says whether and with what it answers."""
    app = FastAPI(
        title="MCQ service",
        description="Answers multiple-choice questions: the choice, a probability for every choice, the reasoning.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.lifecycle = lifecycle
    app.state.metrics = metrics
    app.include_router(mcq.router)
    app.include_router(health.router)
    app.add_middleware(BodyLimits)
    problems.install(app)
    problems.describe(app)
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=tracing.provider,
        excluded_urls="startupz,readyz,livez,metrics",
        exclude_spans=["receive", "send"],
    )
    return app
