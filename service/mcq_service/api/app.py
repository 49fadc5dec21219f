"""Builds the FastAPI app from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from mcq_service.api import health, openapi, page
from mcq_service.api.http import errors
from mcq_service.api.http.access_log import AccessLog
from mcq_service.api.http.authentication import RequireKey
from mcq_service.api.http.body import BodyLimits
from mcq_service.api.http.cors import Origins
from mcq_service.api.http.header_limits import HeaderLimits
from mcq_service.api.http.methods import HeadAndOptions
from mcq_service.api.http.paths import RootPath, TrailingSlash
from mcq_service.api.http.spans import Spans
from mcq_service.api.mcq.router import router as mcq_router
from mcq_service.api.openai.router import router as openai_router
from mcq_service.api.service.router import router as service_router

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.types import ASGIApp

    from mcq_service.runtime.api_keys import Keys
    from mcq_service.runtime.lifecycle import Lifecycle
    from mcq_service.telemetry import Metrics, Tracing


class _App(FastAPI):
    """FastAPI, with the request's span around everything, the handler of defects included."""

    def __init__(self, *, tracing: Tracing, root: str = "", **settings: Any) -> None:
        super().__init__(**settings)
        self._tracing, self._root = tracing, root

    def build_middleware_stack(self) -> ASGIApp:
        """See Starlette."""
        spans = Spans(super().build_middleware_stack(), tracing=self._tracing)
        plain = TrailingSlash(spans, pages=["/docs"])
        return RootPath(plain, root=self._root, routes=self.routes) if self._root else plain


def build(
    lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing, keys: Keys | None = None,
    trace_url: str | None = None, exam_file: Path | None = None, allowed_origins: Sequence[str] = (),
    root_path: str = "", has_probe_port: bool = False,
) -> FastAPI:  # fmt: skip
    """The HTTP surface of one replica; `lifecycle` says whether and with what it answers.

    `trace_url` is where the page's traces can be looked at, with {trace_id} in place of the id, `exam_file`
    where the operator tells of the last exam, and pages of `allowed_origins` may use the service besides its own.
    Every path is served below `root_path`, too, like /mcq.
    Metrics and the test question are not among it where they have a port of their own.
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
    app.include_router(health.probes)
    if not has_probe_port:
        app.include_router(health.router)
    app.include_router(service_router)
    app.include_router(page.router)
    if keys is not None:
        metrics.watch_keys(keys)
    _wrap(app, keys=keys, allowed_origins=allowed_origins)
    openapi.describe(app, keyed=keys is not None)
    return app


def build_probes(
    lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing, keys: Keys | None = None
) -> FastAPI:
    """Probes, metrics and the test question, for a port that no client uses; `keys` are counted, not asked for."""
    app = _App(tracing=tracing, openapi_url=None, redirect_slashes=False)
    app.state.lifecycle = lifecycle
    app.state.metrics = metrics
    app.state.keys = keys
    app.include_router(health.probes)
    app.include_router(health.router)
    _wrap(app)
    return app


def _wrap(app: FastAPI, *, keys: Keys | None = None, allowed_origins: Sequence[str] = ()) -> None:
    """Put the checks and the answers that all requests have around the routes."""
    # The last one added is the outermost.
    app.add_middleware(BodyLimits)
    app.add_middleware(HeadAndOptions)
    if keys is not None:
        app.add_middleware(RequireKey, keys=keys)
    app.add_middleware(Origins, allowed=allowed_origins)
    app.add_middleware(HeaderLimits)
    app.add_middleware(AccessLog)
    errors.install(app)
