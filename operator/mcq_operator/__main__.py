"""The operator's process: settings, election, queue, canaries, kopf and the metrics server, put together and run."""

import argparse
import asyncio
import logging
import random
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any

import aiohttp
import yaml
from prometheus_client import CollectorRegistry

from . import __version__
from .canary import Canaries, HttpAsk
from .check import CheckError, check
from .kube import Api, CachedApi, Cluster, KubeLease, Sighting, connect
from .leadership import Leadership
from .models import SolverKey, rbac
from .queue import WorkQueue
from .reconcile import Outcome, Result, reconcile
from .rounds import discover, discovered, resync, work
from .server import serve
from .settings import Settings
from .startup import HttpAskStartup, Startups
from .telemetry import Metrics, configure_logging
from .watching import Watching

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


async def operate(settings: Settings, metrics: Metrics) -> int:
    """Run until SIGTERM or SIGINT, or until the lease is lost; returns the exit status."""
    ready, stopped = threading.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    api_client = await connect(connections=settings.workers * 4)
    async with (
        api_client,
        serve(host=settings.host, port=settings.port, registry=metrics.registry, ready=ready.is_set),
    ):
        if settings.lease is None:
            metrics.leader.set(1)
            await _first(
                lead(settings, metrics, CachedApi(api_client, wrote=metrics.wrote, sent=metrics.sent), ready),
                stopped.wait(),
            )
            return 0
        namespace, _, name = settings.lease.partition("/")
        leases = KubeLease(
            Api(api_client, wrote=metrics.wrote, sent=metrics.sent), namespace=namespace, name=name
        )
        leadership = Leadership(leases, identity=_identity(), clock=time.monotonic)
        metrics.leader.set_function(lambda: leadership.held)
        api = CachedApi(api_client, wrote=metrics.wrote, sent=metrics.sent, may_write=lambda: leadership.held)
        ready.set()
        return await _elected(leadership, lambda: lead(settings, metrics, api, ready), stopped)


async def lead(settings: Settings, metrics: Metrics, api: CachedApi, ready: threading.Event) -> None:
    """Watch and reconcile until cancelled."""
    async with aiohttp.ClientSession() as session:
        cluster = Cluster(api, namespaces=settings.namespaces, instance=socket.gethostname())
        await discovered(cluster)
        ask = HttpAsk(session, url=settings.canary_url)
        canaries = Canaries(ask, clock=time.monotonic, learned=lambda key: queue.add(key))
        startups = Startups(HttpAskStartup(session), clock=time.monotonic, learned=lambda key: queue.add(key))
        queue = _queue(settings, metrics, cluster, canaries, startups)
        watching = Watching(namespaces=settings.namespaces, seen=partial(_seen, api, queue), ready=ready)
        changed = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(work(cluster, queue))
                tasks.create_task(discover(cluster, queue, changed, every=settings.discovery_seconds))
                tasks.create_task(resync(cluster, queue, every=settings.resync_seconds))
                tasks.create_task(watching.run(absent=lambda: cluster.absent, changed=changed))
        finally:
            await canaries.close()
            await startups.close()


async def _elected(
    leadership: Leadership, work: Callable[[], Coroutine[Any, Any, None]], stopped: asyncio.Event
) -> int:
    """Wait for the lease, then work while it is held.

    A process that lost it ends with status 1, and starts anew as a candidate: nothing of its work can linger.
    """
    if not await _first(leadership.acquire(), stopped.wait()):
        return 0
    try:
        await _first(_first(work(), leadership.keep()), stopped.wait())
        if stopped.is_set():
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


def _seen(api: CachedApi, queue: WorkQueue[SolverKey], seen: Sighting) -> None:
    if api.note(seen) and seen.owner is not None:
        queue.add(seen.owner)


def _queue(
    settings: Settings, metrics: Metrics, cluster: Cluster, canaries: Canaries, startups: Startups
) -> WorkQueue[SolverKey]:
    """The queue, with the reconcile as its work."""
    work = partial(
        reconcile,
        cluster=cluster,
        canaries=canaries,
        startups=startups,
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


def _show_ready(key: SolverKey, outcome: Outcome, metrics: Metrics) -> None:
    if outcome is not Outcome.GONE:
        metrics.ready.labels(*key).set(outcome is Outcome.READY)
    else:
        metrics.ready.remove(*key)


def main() -> None:
    """Entry point of `python -m mcq_operator`."""
    arguments = _parser().parse_args()
    namespaces = tuple(getattr(arguments, "namespace", ()))
    match arguments.command:
        case "check":
            sys.exit(_check(arguments.file, Settings()))
        case "rbac":
            made = rbac.manifests(namespaces=namespaces, home=arguments.home)
            yaml.safe_dump_all(made, sys.stdout, sort_keys=False)
        case _:
            named = {"namespaces": namespaces} if namespaces else {}
            sys.exit(_run(Settings().model_copy(update=named)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mcq_operator",
        description="Reconciles MCQSolvers. Without a command it runs until SIGTERM, configured by the"
        " environment: MCQ_OPERATOR_ and a setting's name, see mcq_operator/settings.py.",
    )
    parser.add_argument("--version", action="version", version=f"mcq-operator {__version__}")
    _add_namespaces(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    granting = commands.add_parser("rbac", help="print the permissions that an operator needs, as manifests")
    _add_namespaces(granting)
    granting.add_argument("--home", default=rbac.NAMESPACE, help="the namespace it runs in (%(default)s)")
    checking = commands.add_parser("check", help="print the objects that a file's MCQSolvers would make")
    checking.add_argument("file", help="a manifest, or - for standard input")
    return parser


def _add_namespaces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--namespace",
        action="append",
        # Not None: a command's would replace what stands before the command.
        default=argparse.SUPPRESS,
        metavar="NAME",
        help="a namespace to serve, once for each; without it, all",
    )


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
