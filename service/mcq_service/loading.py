"""The start of a replica: prepare the model, load it, and let it answer a first question."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from mcq_service import serving
from mcq_service.lifecycle import Status
from mcq_service.models import ModelRef, Store
from mcq_service.protocol import Question
from mcq_service.telemetry import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_service.lifecycle import Lifecycle
    from mcq_service.models import PreparedModel, Stage
    from mcq_service.settings import Settings
    from mcq_service.telemetry import Tracing

T = TypeVar("T")

WARM_UP = Question(
    question="Which of these is a colour?", choices=["blue", "seven"], mode="explain", max_reasoning_tokens=2
)


class StoppedError(Exception):
    """The replica was told to stop before its model was there."""


async def load(settings: Settings, lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing) -> None:
    """Bring the replica to READY. Raises ModelStoreError, or what the engine raises."""
    prepared = await _in_thread(lambda: _prepare(settings, lifecycle))
    lifecycle.report(Status.LOADING, None, f"Loading {prepared.path.name}.")
    built = await _in_thread(lambda: serving.local(prepared, settings, metrics=metrics, tracing=tracing))
    lifecycle.report(Status.WARMING, None, "Answering a first question.")
    ready = built()
    # No client asked this one, so it is counted where nobody looks.
    unseen = serving.answering(
        ready.texts, ready.admission, prepared, settings, metrics=Metrics(), tracing=tracing
    )
    await unseen.answer(WARM_UP)
    metrics.watch_queue(lambda: ready.admission.queued)
    metrics.model_loaded(prepared, engine=ready.engine)
    lifecycle.ready(ready)


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


def _prepare(settings: Settings, lifecycle: Lifecycle) -> PreparedModel:
    ref = ModelRef(settings.model_uri, revision=settings.model_revision, digest=settings.model_digest)

    def report(stage: Stage, fraction: float | None, detail: str) -> None:
        # A download may take minutes, and a replica that is told to stop has seconds: raising ends it, resumably.
        if lifecycle.status is Status.DRAINING:
            raise StoppedError("The replica was told to stop while its model was being prepared.")
        lifecycle.report(Status(stage), fraction, detail)

    return Store(settings.model_cache).ensure(ref, settings.model_precision, report)
