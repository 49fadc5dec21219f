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
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any

from opentelemetry import trace

from mcq_operator import __version__
from mcq_operator.api import Key
from mcq_operator.api.kinds import POD, RECONCILED, WATCHED
from mcq_operator.client import Api, CachedApi, Cluster, ClusterError, KubeLease, connect
from mcq_operator.controllers import Result, reconcile
from mcq_operator.controllers.upgrades import Upgrades
from mcq_operator.informer.staleness import Freshness
from mcq_operator.informer.watches import Watching
from mcq_operator.probes import Prober, connections
from mcq_operator.probes.api_keys import HttpAskKeys, KeyStates
from mcq_operator.probes.canary import Canaries, HttpAsk
from mcq_operator.probes.load_progress import HttpAskStartup, Startups
from mcq_operator.settings import Settings
from mcq_operator.store import Listing, News, Sighting

from .http import Health, serve
from .json_logging import About, reconciling
from .leader_election import Leadership, Timing
from .metrics import Metrics
from .resync import discover, discovered, resync, work
from .workqueue import WorkQueue

logger = logging.getLogger(__name__)

TRACER = trace.get_tracer("mcq_operator")
ANEW_SECONDS = 300.0
"""The pause between two restarts of stale watches: each restart lists everything."""


def measured(
    work: Callable[[Key], Awaitable[Result]], metrics: Metrics, wake: Callable[[Key], None]
) -> Callable[[Key], Awaitable[float | None]]:
    """Wrap the work for the queue: count its outcome and duration, and call `wake` for the keys that it requeues."""

    async def measure(key: Key) -> float | None:
        # The queue logs a failure after this, in the same task, with the same context.
        reconciling.set(About(key, secrets.token_hex(4)))
        label = "failed"
        attributes = {f"mcq.{key.word}.namespace": key.namespace, f"mcq.{key.word}.name": key.name}
        with TRACER.start_as_current_span("reconcile", attributes=attributes) as span:
            try:
                with metrics.duration.time():
                    result = await work(key)
                label = "failed" if result.error else result.outcome.value
                metrics.told(key, result.told)
            finally:
                span.set_attribute("mcq.reconcile.outcome", label)
                metrics.reconciles.labels(outcome=label).inc()
        for other in result.wakes:
            wake(other)
        if result.error:
            raise result.error
        return result.look_again_in

    return measure


async def verify(
    cluster: Cluster,
    freshness: Freshness,
    metrics: Metrics,
    begin_anew: Callable[[], None],
    *,
    every: float,
    stale: float,
) -> None:
    """Measure regularly how far the watches are behind, and restart them if that is too far."""
    clock = asyncio.get_running_loop().time
    due = float("-inf")
    pause = every
    while True:
        await asyncio.sleep(pause)
        kinds = [kind for kind in WATCHED if kind not in cluster.absent]
        try:
            await freshness.verify(kinds)
        except ClusterError as error:
            logger.warning("the watches can't be verified, next try in %.0f s: %s", every, error)
        for kind in kinds:
            metrics.watch_age.labels(kind=kind.kind).set_function(partial(freshness.age, kind))
        late, restored = freshness.late(stale), freshness.restored(stale)
        if clock() >= due and (late or restored):
            if restored:
                logger.warning("the API server was restored from a backup, so the watches begin anew")
                cluster.forget()
            else:
                kinds_late = ", ".join(kind.kind for kind in late)
                logger.warning("no events for %.0f s, so the watches begin anew: %s", stale, kinds_late)
            begin_anew()
            due = clock() + ANEW_SECONDS
        # Check again soon whether a missing event has come.
        pause = min(every, stale) if freshness.behind() else every


async def operate(settings: Settings, metrics: Metrics) -> int:
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
            ailing=health.problem,
        ),
    ):
        if settings.lease is None:
            metrics.leader.set(1)
            api_without_lease = CachedApi(api_client, wrote=metrics.wrote, sent=metrics.sent)
            await _first(lead(settings, metrics, api_without_lease, ready, health), stopped.wait())
            return 0
        namespace, _, name = settings.lease.partition("/")
        lease_api = Api(api_client, wrote=metrics.wrote, sent=metrics.sent)
        leases = KubeLease(lease_api, namespace=namespace, name=name)
        timing = Timing(
            duration=settings.lease_duration_seconds,
            renew_deadline=settings.lease_renew_deadline_seconds,
            retry=settings.lease_retry_seconds,
        )
        leadership = Leadership(leases, identity=_identity(), clock=time.monotonic, timing=timing)
        metrics.leader.set_function(lambda: leadership.held)
        api = CachedApi(api_client, wrote=metrics.wrote, sent=metrics.sent, may_write=lambda: leadership.held)
        ready.set()
        return await _elected(leadership, lambda: lead(settings, metrics, api, ready, health), stopped)


async def lead(
    settings: Settings, metrics: Metrics, api: CachedApi, ready: threading.Event, health: Health
) -> None:
    """Watch and reconcile until cancelled."""
    async with connections() as session:
        prober = Prober(session)
        cluster = Cluster(api, namespaces=settings.namespaces, instance=socket.gethostname())
        await discovered(cluster)
        ask = HttpAsk(prober, url=settings.canary_url)
        canaries = Canaries(ask, clock=time.monotonic, learned=lambda key: queue.add(key))
        startups = Startups(HttpAskStartup(prober), clock=time.monotonic, learned=lambda key: queue.add(key))
        key_states = KeyStates(HttpAskKeys(prober), learned=lambda key: queue.add(key))
        queue = _queue(settings, metrics, cluster, canaries, startups, key_states)
        freshness = Freshness(cluster.versions, clock=time.monotonic)
        metrics.longest.set_function(queue.longest)
        health.look_at(longest_reconcile=queue.longest)
        changed, listed = asyncio.Event(), asyncio.Event()
        watching = Watching(
            namespaces=settings.namespaces,
            seen=partial(_seen, api, queue, freshness),
            listed=partial(_listed, api, queue, freshness, listed),
            ready=ready,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(work(cluster, queue, listed))
                tasks.create_task(discover(cluster, queue, changed.set, every=settings.discovery_seconds))
                tasks.create_task(
                    verify(
                        cluster,
                        freshness,
                        metrics,
                        changed.set,
                        every=settings.verify_seconds,
                        stale=settings.stale_seconds,
                    )
                )
                tasks.create_task(resync(cluster, queue, every=settings.resync_seconds))
                tasks.create_task(watching.run(absent=lambda: cluster.absent, changed=changed))
        finally:
            await canaries.close()
            await startups.close()
            await key_states.close()


async def _elected(
    leadership: Leadership, work: Callable[[], Coroutine[Any, Any, None]], stopped: asyncio.Event
) -> int:
    """Wait for the lease, then work while it is held.

    A process that loses it ends with status 1 and restarts as a candidate, so that nothing of its work lingers.
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


def _seen(api: CachedApi, queue: WorkQueue[Key], freshness: Freshness, observed: Sighting) -> None:
    freshness.saw(observed)
    if change := api.note(observed):
        # A change of a solver or an exam is a person's request, and drift of a child undoes one. All other events only
        # report progress, as Pods come and go by themselves.
        urgent = observed.kind in RECONCILED or (change is News.DRIFT and observed.kind is not POD)
        for key in api.woken(observed):
            queue.add(key, urgent=urgent and key == observed.owner)


def _listed(
    api: CachedApi, queue: WorkQueue[Key], freshness: Freshness, listed: asyncio.Event, listing: Listing
) -> None:
    freshness.listed(listing)
    for key in api.note_list(listing):
        queue.add(key, urgent=listing.kind is not POD)
    listed.set()


def _queue(
    settings: Settings,
    metrics: Metrics,
    cluster: Cluster,
    canaries: Canaries,
    startups: Startups,
    key_states: KeyStates,
) -> WorkQueue[Key]:
    """Return the queue with the reconcile as its work."""
    upgrades = Upgrades(
        release=f"{__version__} {settings.service_image}",
        at_once=settings.upgrades_at_once,
        wake=lambda key: queue.add(key),
    )
    work = partial(
        reconcile,
        cluster=cluster,
        canaries=canaries,
        startups=startups,
        key_states=key_states,
        upgrades=upgrades,
        service_image=settings.service_image,
        operator_image=settings.image,
        operator_namespace=settings.home,
        now=lambda: datetime.now(UTC),
    )
    queue = WorkQueue(
        measured(work, metrics, wake=lambda key: queue.add(key)),
        workers=settings.workers,
        call_later=asyncio.get_running_loop().call_later,
        random=random.random,
        clock=time.monotonic,
        depth=metrics.queue_depth.set,
    )
    return queue
