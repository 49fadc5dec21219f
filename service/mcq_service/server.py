"""One replica as a process: HTTP is up at once, the model loads behind it, SIGTERM drains."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from mcq_service import app, connections
from mcq_service.engines import EngineFailed
from mcq_service.keys import Keys
from mcq_service.lifecycle import Lifecycle, Status
from mcq_service.loading import load
from mcq_service.models import ModelStoreError
from mcq_service.problems import ProblemError
from mcq_service.serving import EngineUnfit
from mcq_service.telemetry import Metrics, Tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcq_service.settings import Settings

_log = logging.getLogger(__name__)
_TERMINATION_LOG = Path("/dev/termination-log")  # what Kubernetes shows of a container that ended


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us: it would stop listening before the probes have seen the drain."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


async def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code: 0, or where the model can't be loaded its error's, or 1.

    Raises OSError where the address can't be listened on.
    """
    keys = Keys(settings.api_keys_file) if settings.api_keys_file else None
    listener = socket.create_server((settings.host, settings.port))
    lifecycle, metrics, tracing = Lifecycle(), Metrics(), Tracing()
    server = _Server(
        connections.config(
            app.build(
                lifecycle,
                metrics=metrics,
                tracing=tracing,
                keys=keys,
                trace_url=settings.trace_url,
                exam_file=settings.exam_file,
                allowed_origins=settings.allowed_origins,
            )
        )
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    loading = asyncio.create_task(load(settings, lifecycle, metrics=metrics, tracing=tracing))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        status = _status(loading, lifecycle) if loading.done() else 0
        if status == 0:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await _drain(lifecycle, settings)
    finally:
        loading.cancel()
        stopping.cancel()
        server.should_exit = True
        await serving
        if lifecycle.serving:
            await lifecycle.serving.stop()
        tracing.shutdown()
    return status


async def _drain(lifecycle: Lifecycle, settings: Settings) -> None:
    _log.info("draining")
    if not await lifecycle.drain(seconds=settings.drain_seconds):
        _log.warning("not all questions were finished within %s s", settings.drain_seconds)


def _status(loading: asyncio.Task[None], lifecycle: Lifecycle) -> int:
    """0, or the exit code for a model that could not be loaded, which is said where people look."""
    error = loading.exception()
    if error is None:
        _log.info("ready")
        return 0
    lifecycle.report(Status.FAILED, None, str(error))
    # These errors say what to do; of any other, the place it comes from is needed.
    trace = None if isinstance(error, ModelStoreError | EngineUnfit | EngineFailed | ProblemError) else error
    _log.error("the model could not be loaded: %s", error, exc_info=trace)
    with contextlib.suppress(OSError):
        _TERMINATION_LOG.write_text(f"The model could not be loaded: {error}")
    return error.exit_code if isinstance(error, ModelStoreError) else 1
