"""The operator's process: leader election, queue, watches, probes and the metrics server, assembled and run."""

import asyncio
import logging
import random
import secrets
import signal
import socket
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from opentelemetry import trace

from mcq_operator import __version__
from mcq_operator.api import Key
from mcq_operator.api.kinds import POD, RECONCILED
from mcq_operator.client import CachedClient, Client, Cluster, LeaseClient, connect
from mcq_operator.controllers import Result, reconcile
from mcq_operator.controllers.upgrades import Upgrades
from mcq_operator.informer.staleness import WatchStaleness
from mcq_operator.informer.watches import Watches
from mcq_operator.probes.probe_client import open_session
from mcq_operator.probes.probers import Probers
from mcq_operator.settings import Settings
from mcq_operator.store import Change, Listing, Observation

from .http import Health, serve
from .json_logging import ReconcileContext, current_reconcile
from .leader_election import LeaderElection, Timing
from .metrics import Metrics
from .resync import discover, discover_first, resync, start
from .watchdog import verify_watches
from .workqueue import WorkQueue

logger = logging.getLogger(__name__)

TRACER = trace.get_tracer("mcq_operator")
PROGRESS_SECONDS = 0.1
"""The wait after an event that reports progress. A roll-out causes many at once, and one reconcile serves them all."""


def instrumented(
    work: Callable[[Key], Awaitable[Result]], metrics: Metrics, requeue: Callable[[Key], None]
) -> Callable[[Key], Awaitable[float | None]]:
    """Wrap the work for the queue: count its outcome and duration, and call `requeue` for each key that it names."""

    async def measure(key: Key) -> float | None:
        # The queue logs a failure after this, in the same task, with the same context.
        current_reconcile.set(ReconcileContext(key, secrets.token_hex(4)))
        label = "failed"
        attributes = {
            f"mcq.{key.short_kind}.namespace": key.namespace,
            f"mcq.{key.short_kind}.name": key.name,
        }
        with TRACER.start_as_current_span("reconcile", attributes=attributes) as span:
            try:
                with metrics.duration.time():
                    result = await work(key)
                label = "failed" if result.error else result.outcome.value
                metrics.export_status(key, result.status)
            finally:
                span.set_attribute("mcq.reconcile.outcome", label)
                metrics.reconciles.labels(outcome=label).inc()
        for other in result.requeues:
            requeue(other)
        if result.error:
            raise result.error
        return result.requeue_after

    return measure


async def run(settings: Settings, metrics: Metrics) -> int:
    """Run until SIGTERM or SIGINT, or until the lease is lost; return the exit status."""
    ready, stopped = threading.Event(), asyncio.Event()
    health = Health(stuck_seconds=settings.stuck_seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    api_client = await connect(connections=settings.workers * 4)
    async with (
        api_client,
        serve(
            host=settings.host,
            port=settings.port,
            registry=metrics.registry,
            ready=ready.is_set,
            problem=health.problem,
        ),
    ):
        callbacks: dict[str, Any] = {"on_write": metrics.count_write, "on_request": metrics.count_request}
        if settings.lease is None:
            metrics.leader.set(1)
            client = CachedClient(api_client, **callbacks)
            await _race(lead(settings, metrics, client, ready, health), stopped.wait())
            return 0
        namespace, _, name = settings.lease.partition("/")
        leases = LeaseClient(Client(api_client, **callbacks), namespace=namespace, name=name)
        timing = Timing(
            duration=settings.lease_duration_seconds,
            renew_deadline=settings.lease_renew_deadline_seconds,
            retry=settings.lease_retry_seconds,
        )
        election = LeaderElection(leases, identity=_identity(), clock=time.monotonic, timing=timing)
        metrics.leader.set_function(lambda: election.is_leader)
        client = CachedClient(api_client, **callbacks, may_write=lambda: election.is_leader)
        ready.set()
        return await _lead_while_elected(
            election, lambda: lead(settings, metrics, client, ready, health), stopped
        )


async def lead(
    settings: Settings, metrics: Metrics, client: CachedClient, ready: threading.Event, health: Health
) -> None:
    """Watch and reconcile until cancelled."""
    async with open_session() as session:
        cluster = Cluster(client, namespaces=settings.namespaces, instance=socket.gethostname())
        await discover_first(cluster)

        def requeue(key: Key) -> None:
            queue.add(key)

        probers = Probers.over_http(session, canary_url=settings.canary_url, requeue=requeue)
        queue = _queue(settings, metrics, cluster, probers)
        staleness = WatchStaleness(cluster.versions, clock=time.monotonic, unreadable=cluster.unreadable)
        metrics.longest.set_function(queue.longest)
        health.longest_reconcile = queue.longest
        changed, listed = asyncio.Event(), asyncio.Event()
        watches = Watches(
            namespaces=settings.namespaces,
            on_events=partial(_observe_events, client, queue, staleness),
            on_list=partial(_observe_list, client, queue, staleness, listed),
            ready=ready,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(start(cluster, queue, listed))
                tasks.create_task(discover(cluster, queue, changed.set, every=settings.discovery_seconds))
                tasks.create_task(
                    verify_watches(
                        cluster,
                        staleness,
                        metrics,
                        changed.set,
                        every=settings.verify_seconds,
                        stale=settings.stale_seconds,
                    )
                )
                tasks.create_task(resync(cluster, queue, every=settings.resync_seconds))
                tasks.create_task(watches.run(absent=lambda: cluster.absent, restart=changed))
        finally:
            await probers.close()


async def _lead_while_elected(
    election: LeaderElection, work: Callable[[], Coroutine[Any, Any, None]], stopped: asyncio.Event
) -> int:
    """Wait for the lease, then work while this process holds it.

    A process that loses it ends with status 1 and restarts as a candidate, so that none of its work goes on.
    """
    if not await _race(election.acquire(), stopped.wait()):
        return 0
    try:
        await _race(_race(work(), election.keep()), stopped.wait())
        if stopped.is_set():
            return 0
        logger.error("this operator has lost its lease")
        return 1
    finally:
        await election.release()


async def _race(one: Coroutine[Any, Any, Any], other: Coroutine[Any, Any, Any]) -> bool:
    """Return whether `one` ended first, or at the same time; cancel the other. Raises the first one's error."""
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
    """Return the Pod's name plus a unique part: a restarted process has the same Pod name."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


def _observe_events(
    client: CachedClient,
    queue: WorkQueue[Key],
    staleness: WatchStaleness,
    observations: Iterable[Observation],
) -> None:
    for observed in observations:
        staleness.observe(observed)
        change = client.observe(observed)
        if not change:
            continue
        # A change of a solver or an exam is a person's request, and drift of a child undoes one. All other events only
        # report progress, as Pods come and go by themselves.
        priority = observed.kind in RECONCILED or (change is Change.DRIFT and observed.kind is not POD)
        for key in client.readers(observed):
            if priority and key == observed.owner:
                queue.add(key, priority=True)
            else:
                queue.add_later(key, PROGRESS_SECONDS)


def _observe_list(
    client: CachedClient,
    queue: WorkQueue[Key],
    staleness: WatchStaleness,
    listed: asyncio.Event,
    listing: Listing,
) -> None:
    staleness.observe_list(listing)
    for key in client.observe_list(listing):
        queue.add(key, priority=listing.kind is not POD)
    listed.set()


def _queue(settings: Settings, metrics: Metrics, cluster: Cluster, probers: Probers) -> WorkQueue[Key]:
    """Return the queue with the reconcile as its work."""
    upgrades = Upgrades(
        release=" ".join([__version__, *settings.images]),
        at_once=settings.upgrades_at_once,
        requeue=lambda key: queue.add(key),
    )
    work = partial(
        reconcile,
        cluster=cluster,
        probers=probers,
        upgrades=upgrades,
        installation=settings.installation,
        now=lambda: datetime.now(UTC),
    )
    queue = WorkQueue(
        instrumented(work, metrics, requeue=lambda key: queue.add(key)),
        workers=settings.workers,
        call_later=asyncio.get_running_loop().call_later,
        random=random.random,
        clock=time.monotonic,
        depth=metrics.queue_depth.set,
    )
    return queue
