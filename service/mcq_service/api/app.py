"""Build the FastAPI apps: one for clients, one for the probe port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from mcq_service.api import health, openapi, page
from mcq_service.api.decisions.router import router as decisions_router
from mcq_service.api.http import errors
from mcq_service.api.http.access_log import AccessLog
from mcq_service.api.http.authentication import RequireKey
from mcq_service.api.http.body import BodyLimits
from mcq_service.api.http.cors import CORS
from mcq_service.api.http.exam_header import ExamHeader
from mcq_service.api.http.header_limits import HeaderLimits
from mcq_service.api.http.methods import HeadAndOptions
from mcq_service.api.http.paths import RootPath, TrailingSlash
from mcq_service.api.http.spans import RequestSpans
from mcq_service.api.mcq.router import router as mcq_router
from mcq_service.api.openai.router import router as openai_router
from mcq_service.api.service.router import router as service_router
from mcq_service.api.systemone.router import router as systemone_router

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.types import ASGIApp

    from mcq_service.runtime.api_keys import ApiKeys
    from mcq_service.runtime.lifecycle import Lifecycle
    from mcq_service.telemetry import Metrics, Tracing


class _App(FastAPI):
    """FastAPI with the request's span as the outermost layer, outside the handler of unexpected errors."""

    def __init__(self, *, tracing: Tracing, root: str = "", **settings: Any) -> None:
        super().__init__(**settings)
        self._tracing, self._root = tracing, root

    def build_middleware_stack(self) -> ASGIApp:
        """See Starlette."""
        spans = RequestSpans(super().build_middleware_stack(), tracing=self._tracing)
        without_slash = TrailingSlash(spans, pages=["/docs"])
        if not self._root:
            return without_slash
        return RootPath(without_slash, root=self._root, routes=self.routes)


def build(
    lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing, keys: ApiKeys | None = None,
    trace_url: str | None = None, exam_file: Path | None = None, allowed_origins: Sequence[str] = (),
    root_path: str = "", has_probe_port: bool = False,
) -> FastAPI:  # fmt: skip
    """Build the app for clients; `lifecycle` says whether it answers, and with which backend.

    `trace_url` is the page's link to a trace, with {trace_id} in place of the id. The operator writes the last exam to
    `exam_file`. Pages of `allowed_origins` may use the service, as its own page may. Every path is also served below
    `root_path`, such as /mcq. With a probe port, metrics and the test question are served only there.
    """
    app = _App(
        tracing=tracing,
        root=root_path,
        title="MCQ service",
        description="Answers multiple-choice questions: the choice, a probability for every choice, the reasoning.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": root_path}] if root_path else None,
    )
    app.state.lifecycle = lifecycle
    app.state.metrics = metrics
    app.state.keys = keys
    app.state.trace_url = trace_url
    app.state.exam_file = exam_file
    app.include_router(mcq_router)
    app.include_router(openai_router)
    app.include_router(decisions_router)
    app.include_router(systemone_router)
    app.include_router(health.probes)
    if not has_probe_port:
        app.include_router(health.router)
    app.include_router(service_router)
    app.include_router(page.router)
    if keys is not None:
        metrics.watch_keys(accepted=lambda: keys.accepted, invalid=lambda: keys.faults)
    _add_middleware(app, keys=keys, allowed_origins=allowed_origins)
    openapi.complete(app, keyed=keys is not None)
    return app


def build_probes(
    lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing, keys: ApiKeys | None = None
) -> FastAPI:
    """Build the app for the probe port: probes, metrics and the test question. It counts `keys` but needs none."""
    app = _App(tracing=tracing, openapi_url=None, redirect_slashes=False)
    app.state.lifecycle = lifecycle
    app.state.metrics = metrics
    app.state.keys = keys
    app.include_router(health.probes)
    app.include_router(health.router)
    _add_middleware(app)
    return app


def _add_middleware(
    app: FastAPI, *, keys: ApiKeys | None = None, allowed_origins: Sequence[str] = ()
) -> None:
    """Add the checks and error handlers that all requests share."""
    # The last one added is the outermost.
    app.add_middleware(BodyLimits)
    app.add_middleware(HeadAndOptions)
    if keys is not None:
        app.add_middleware(RequireKey, keys=keys)
    app.add_middleware(CORS, allowed=allowed_origins)
    app.add_middleware(HeaderLimits)
    app.add_middleware(AccessLog)
    app.add_middleware(ExamHeader)
    errors.install(app)
