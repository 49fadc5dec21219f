"""The operator's process: settings, queue, canaries, kopf and the metrics server, put together and run.

One replica runs at a time: its Deployment is of type Recreate, so that an old one has ended before a new one
starts.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

import aiohttp
import kopf
from prometheus_client import CollectorRegistry

from . import handlers
from .canary import Canaries, HttpAsk
from .kube import Api, Cluster, ClusterError, connect
from .models import SolverKey
from .queue import WorkQueue
from .reconcile import Outcome, Result, reconcile
from .server import serve
from .settings import Settings
from .telemetry import Metrics, configure_logging

logger = logging.getLogger(__name__)


def measured(
    work: Callable[[SolverKey], Awaitable[Result]], metrics: Metrics
) -> Callable[[SolverKey], Awaitable[float | None]]:
    """The work as the queue wants it, with its outcome and duration counted."""

    async def measure(key: SolverKey) -> float | None:
        label = "failed"
        try:
            with metrics.duration.time():
                result = await work(key)
            label = result.outcome.value
            _show_ready(key, result.outcome, metrics)
        finally:
            metrics.reconciles.labels(outcome=label).inc()
        return result.look_again_in

    return measure


async def resync(cluster: Cluster, queue: WorkQueue[SolverKey], *, every: float) -> None:
    """Look at every solver once in a while: no missed event is missed for ever."""
    while True:
        await asyncio.sleep(every)
        try:
            for key in await cluster.keys():
                queue.add(key)
        except ClusterError as error:
            logger.warning("solvers can't be listed, next try in %.0f s: %s", every, error)


async def operate(settings: Settings, metrics: Metrics) -> None:
    """Run until SIGTERM or SIGINT."""
    ready = asyncio.Event()
    api_client = await connect(connections=settings.workers * 4)
    async with (
        api_client,
        aiohttp.ClientSession() as session,
        serve(host=settings.host, port=settings.port, registry=metrics.registry, ready=ready.is_set),
    ):
        cluster = Cluster(Api(api_client, wrote=metrics.wrote), namespaces=settings.namespaces)
        ask = HttpAsk(session, url=settings.canary_url)
        canaries = Canaries(ask, clock=time.monotonic, learned=lambda key: queue.add(key))
        queue = _queue(settings, metrics, cluster, canaries)
        background = [
            asyncio.create_task(queue.run()),
            asyncio.create_task(resync(cluster, queue, every=settings.resync_seconds)),
        ]
        # Let the workers start: kopf takes every task that begins after it for its own, and waits for its end.
        await asyncio.sleep(0)
        try:
            await _watch(settings, handlers.Memo(queue), ready)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await canaries.close()


def _queue(
    settings: Settings, metrics: Metrics, cluster: Cluster, canaries: Canaries
) -> WorkQueue[SolverKey]:
    """The queue, with the reconcile as its work."""
    work = partial(
        reconcile,
        cluster=cluster,
        canaries=canaries,
        service_image=settings.service_image,
        now=lambda: datetime.now(UTC),
    )
    return WorkQueue(
        measured(work, metrics),
        workers=settings.workers,
        call_later=asyncio.get_running_loop().call_later,
        random=random.random,
        depth=metrics.queue_depth.set,
    )


async def _watch(settings: Settings, memo: handlers.Memo, ready: asyncio.Event) -> None:
    """Run kopf, which ends on SIGTERM and SIGINT."""
    await kopf.operator(
        registry=handlers.registry(),
        settings=handlers.settings(namespaced=bool(settings.namespaces)),
        memo=memo,
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        ready_flag=ready,
    )


def _show_ready(key: SolverKey, outcome: Outcome, metrics: Metrics) -> None:
    if outcome is not Outcome.GONE:
        metrics.ready.labels(*key).set(outcome is Outcome.READY)
    else:
        metrics.ready.remove(*key)


def main() -> None:
    """Entry point of `python -m mcq_operator`."""
    settings = Settings()
    configure_logging(settings.log_level)
    scope = ", ".join(settings.namespaces) or "all namespaces"
    logger.info("serving %s", scope, extra={"service_image": settings.service_image})
    asyncio.run(operate(settings, Metrics(CollectorRegistry())))
    logger.info("stopped")


if __name__ == "__main__":
    main()
