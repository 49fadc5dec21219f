"""The start of a replica: prepare the model, load it, and let it answer a first question."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from mcq_service.api.problems import Overloaded
from mcq_service.engine import EngineFailed
from mcq_service.engine.remote.openai_client import EngineRefused
from mcq_service.engine.remote.remote_engine import connect
from mcq_service.model_store import ModelRef, Store
from mcq_service.runtime import builder
from mcq_service.runtime.builder import RemoteModel
from mcq_service.runtime.lifecycle import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_service.engine.remote.openai_client import Client
    from mcq_service.engine.remote.remote_engine import RemoteTexts
    from mcq_service.model_store import PrecisionChoice, PreparedModel, Stage
    from mcq_service.runtime.builder import Serving
    from mcq_service.runtime.lifecycle import Lifecycle
    from mcq_service.runtime.settings import Settings
    from mcq_service.telemetry import Metrics, Tracing

T = TypeVar("T")

WAIT_SECONDS = 2.0
"""Between two attempts to reach the server that is the engine."""


class StoppedError(Exception):
    """The replica was told to stop before its model was there."""


async def load(settings: Settings, lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing) -> None:
    """Bring the replica to READY. Raises ModelStoreError, EngineUnfit, EngineRefused, or what the engine raises."""
    start = _remote if settings.engine == "openai" else _local
    ready, model = await start(settings, lifecycle, metrics=metrics, tracing=tracing)
    lifecycle.report(Status.WARMING, None, "Answering a first question.")
    await ready.selftest.warm_up()
    metrics.watch_queue(lambda: ready.admission.queued)
    metrics.model_loaded(model, engine=ready.engine)
    lifecycle.ready(ready)


async def _local(
    settings: Settings, lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing
) -> tuple[Serving, PreparedModel]:
    precision = builder.precision_for(settings)
    prepared = await _in_thread(lambda: _prepare(settings, precision, lifecycle))
    lifecycle.report(Status.LOADING, None, f"Loading {prepared.path.name}.")
    built = await _in_thread(lambda: builder.local(prepared, settings, metrics=metrics, tracing=tracing))
    return built(), prepared


async def _remote(
    settings: Settings, lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing
) -> tuple[Serving, RemoteModel]:
    """The other server may start after us: it is waited for, unless it answers that it will not do."""
    client = builder.client(settings)
    lifecycle.report(Status.LOADING, None, f"Connecting to {client.name}.")
    try:
        texts = await _connected(client, settings, lifecycle)
    except BaseException:
        await client.close()
        raise
    made = builder.remote(texts, settings, metrics=metrics, tracing=tracing)
    return made, RemoteModel(texts.model)


async def _connected(client: Client, settings: Settings, lifecycle: Lifecycle) -> RemoteTexts:
    while True:
        try:
            return await connect(client, model=settings.openai_model)
        except EngineRefused:
            raise
        except (EngineFailed, Overloaded) as error:
            lifecycle.report(Status.LOADING, None, f"Waiting for the engine. {error}")
        await asyncio.sleep(WAIT_SECONDS)


async def _in_thread(work: Callable[[], T]) -> T:
    """What `asyncio.to_thread` does, but a process that is to end does not wait for the thread."""
    future: Future[T] = Future()

    def run() -> None:
        with suppress(InvalidStateError):  # nobody waits any more
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - it is raised where the result is awaited
                future.set_exception(error)

    threading.Thread(target=run, name="loading", daemon=True).start()
    return await asyncio.wrap_future(future)


def _prepare(settings: Settings, precision: PrecisionChoice, lifecycle: Lifecycle) -> PreparedModel:
    ref = ModelRef(settings.model_uri, revision=settings.model_revision, digest=settings.model_digest)

    def report(stage: Stage, fraction: float | None, detail: str) -> None:
        # A download may take minutes, and a replica that is told to stop has seconds: raising ends it, resumably.
        if lifecycle.status is Status.DRAINING:
            raise StoppedError("The replica was told to stop while its model was being prepared.")
        lifecycle.report(Status(stage), fraction, detail)

    store = Store(
        settings.model_cache,
        limit=settings.model_cache_limit or None,
        attempts=settings.model_fetch_attempts,
    )
    return store.ensure(ref, precision, report, verify=settings.model_verify)
