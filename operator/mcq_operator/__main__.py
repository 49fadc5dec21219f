"""The operator's process: settings, election, queue, canaries, kopf and the metrics server, put together and run."""

import argparse
import asyncio
import logging
import random
import signal
import socket
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any

import aiohttp
import kopf
from prometheus_client import CollectorRegistry

from . import __version__, handlers
from .canary import Canaries, HttpAsk
from .check import CheckError, check
from .kube import Api, Cluster, ClusterError, KubeLease, connect
from .leadership import Leadership
from .models import SolverKey
from .queue import WorkQueue
from .reconcile import Outcome, Result, reconcile
from .server import serve
from .settings import Settings
from .telemetry import Metrics, configure_logging

logger = logging.getLogger(__name__)

REACH_SECONDS = 2.0


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


async def reached(cluster: Cluster) -> None:
    """Wait until the API server answers.

    kopf would give up after a minute of tries to learn what kinds there are, and the process would end.
    """
    while True:
        try:
            await cluster.keys()
        except ClusterError as error:
            logger.warning("not started yet, next try in %.0f s: %s", REACH_SECONDS, error)
            await asyncio.sleep(REACH_SECONDS)
        else:
            return


async def operate(settings: Settings, metrics: Metrics) -> int:
    """Run until SIGTERM or SIGINT, or until the lease is lost; returns the exit status."""
    ready = asyncio.Event()
    api_client = await connect(connections=settings.workers * 4)
    async with (
        api_client,
        serve(host=settings.host, port=settings.port, registry=metrics.registry, ready=ready.is_set),
    ):
        if settings.lease is None:
            metrics.leader.set(1)
            await lead(settings, metrics, Api(api_client, wrote=metrics.wrote), ready)
            return 0
        namespace, _, name = settings.lease.partition("/")
        leases = KubeLease(Api(api_client, wrote=metrics.wrote), namespace=namespace, name=name)
        leadership = Leadership(leases, identity=_identity(), clock=time.monotonic)
        metrics.leader.set_function(lambda: leadership.held)
        api = Api(api_client, wrote=metrics.wrote, may_write=lambda: leadership.held)
        return await _elected(leadership, lambda: lead(settings, metrics, api, ready), standby=ready.set)


async def lead(settings: Settings, metrics: Metrics, api: Api, ready: asyncio.Event) -> None:
    """Watch and reconcile until SIGTERM or SIGINT."""
    async with aiohttp.ClientSession() as session:
        cluster = Cluster(api, namespaces=settings.namespaces)
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
            await reached(cluster)
            await _watch(settings, handlers.Memo(queue), ready)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await canaries.close()


async def _elected(
    leadership: Leadership, work: Callable[[], Coroutine[Any, Any, None]], *, standby: Callable[[], None]
) -> int:
    """Wait for the lease, then work while it is held.

    A process that lost it ends with status 1, and starts anew as a candidate: nothing of its work can linger.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    standby()
    if not await _first(leadership.acquire(), stopped.wait()):
        return 0
    # kopf has its own handlers of the signals, and ends by them.
    try:
        if await _first(work(), leadership.keep()):
            return 0
        logger.error("the lease is lost")
        return 1
    finally:
        await leadership.release()


async def _first(one: Coroutine[Any, Any, Any], other: Coroutine[Any, Any, Any]) -> bool:
    """Whether `one` ended first, or as soon; what did not end is cancelled. Raises what the first one raises."""
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    done: set[asyncio.Future[Any]] = set()
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return tasks[0] in done


def _identity() -> str:
    """The Pod's name, and what tells this process from one that had the name before."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


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
    arguments = _parser().parse_args()
    settings = Settings()
    sys.exit(_check(arguments.file, settings) if arguments.command == "check" else _run(settings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mcq_operator",
        description="Reconciles MCQSolvers. Without a command it runs until SIGTERM, configured by the"
        " environment: MCQ_OPERATOR_ and a setting's name, see mcq_operator/settings.py.",
    )
    parser.add_argument("--version", action="version", version=f"mcq-operator {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    checking = commands.add_parser("check", help="print the objects that a file's MCQSolvers would make")
    checking.add_argument("file", help="a manifest, or - for standard input")
    return parser


def _check(file: str, settings: Settings) -> int:
    try:
        check(file, service_image=settings.service_image, out=sys.stdout)
    except CheckError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _run(settings: Settings) -> int:
    configure_logging(settings.log_level)
    scope = ", ".join(settings.namespaces) or "all namespaces"
    logger.info("serving %s", scope, extra={"service_image": settings.service_image})
    status = asyncio.run(operate(settings, Metrics(CollectorRegistry())))
    logger.info("stopped")
    return status


if __name__ == "__main__":
    main()
