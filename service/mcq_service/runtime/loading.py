"""Start a replica: prepare the model, load it, and let it answer a first question."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from mcq_service.engine import EngineFailed, EngineRefused
from mcq_service.engine.remote.remote_engine import connect
from mcq_service.model_store import ModelRef, Store
from mcq_service.runtime import builder
from mcq_service.runtime.lifecycle import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_service.engine.remote.openai_client import OpenAIClient
    from mcq_service.engine.remote.remote_engine import RemoteTextEngine
    from mcq_service.model_store import PrecisionChoice, PreparedModel, Stage
    from mcq_service.runtime.builder import Backend
    from mcq_service.runtime.lifecycle import Lifecycle
    from mcq_service.runtime.settings import Settings
    from mcq_service.telemetry import Metrics, Tracing

T = TypeVar("T")

WAIT_SECONDS = 2.0
"""The pause between two attempts to reach a remote engine."""


class StoppedError(Exception):
    """The replica was stopped before its model was prepared."""


async def load(settings: Settings, lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing) -> None:
    """Bring the replica to READY. Raises ModelStoreError, EngineMismatch, EngineRefused, or the engine's own error."""
    start = _remote if settings.engine == "openai" else _local
    backend = await start(settings, lifecycle, metrics=metrics, tracing=tracing)
    lifecycle.report(Status.WARMING, None, "Answering a first question.")
    await backend.selftest.warm_up()
    metrics.watch_queue(lambda: backend.admission.queued)
    metrics.model_loaded(backend.identity, engine=backend.engine)
    lifecycle.set_ready(backend)


async def _local(settings: Settings, lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing) -> Backend:
    precision = builder.precision_for(settings)
    prepared = await _in_thread(lambda: _prepare(settings, precision, lifecycle))
    lifecycle.report(Status.LOADING, None, f"Loading {prepared.path.name}.")
    build = await _in_thread(lambda: builder.local(prepared, settings, metrics=metrics, tracing=tracing))
    return build()


async def _remote(settings: Settings, lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing) -> Backend:
    """Wait for the other server, which may start later. Raises EngineRefused if it rejects our requests."""
    client = builder.openai_client(settings)
    lifecycle.report(Status.LOADING, None, f"Connecting to {client.name}.")
    try:
        texts = await _connect(client, settings, lifecycle)
    except BaseException:
        await client.close()
        raise
    return builder.remote(texts, settings, metrics=metrics, tracing=tracing)


async def _connect(client: OpenAIClient, settings: Settings, lifecycle: Lifecycle) -> RemoteTextEngine:
    while True:
        try:
            return await connect(client, model=settings.openai_model)
        except EngineRefused:
            raise
        except EngineFailed as error:
            lifecycle.report(Status.LOADING, None, f"Waiting for the engine. {error}")
        await asyncio.sleep(WAIT_SECONDS)


async def _in_thread(work: Callable[[], T]) -> T:
    """Run in a thread, like `asyncio.to_thread`, but let the process end without waiting for the thread."""
    future: Future[T] = Future()

    def run() -> None:
        with suppress(InvalidStateError):  # the caller was cancelled
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - raised where the result is awaited
                future.set_exception(error)

    threading.Thread(target=run, name="loading", daemon=True).start()
    return await asyncio.wrap_future(future)


def _prepare(settings: Settings, precision: PrecisionChoice, lifecycle: Lifecycle) -> PreparedModel:
    ref = ModelRef(settings.model_uri, revision=settings.model_revision, digest=settings.model_digest)

    def report(stage: Stage, fraction: float | None, detail: str) -> None:
        # A download may take minutes, but a stopping replica has seconds: stop it here, the next start resumes it.
        if lifecycle.status is Status.DRAINING:
            raise StoppedError("The replica was stopped while it prepared its model.")
        lifecycle.report(Status(stage), fraction, detail)

    store = Store(
        settings.model_cache,
        limit=settings.model_cache_limit or None,
        attempts=settings.model_fetch_attempts,
    )
    return store.ensure(ref, precision, report, verify=settings.model_verify)
