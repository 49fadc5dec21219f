"""Reconciles of every resource without an event: at the start, at intervals, and when kinds come or go."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mcq_operator.api import Key
from mcq_operator.client import Cluster, ClusterError

from .workqueue import WorkQueue

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

RETRY_SECONDS = 1.0
"""The pause before the next try of a request that failed."""
LIST_TIMEOUT_SECONDS = 30.0
"""How long the start waits for lists of kinds with a CRD, which a failing conversion webhook can block."""


async def discover_first(cluster: Cluster) -> None:
    """Discover the optional kinds before any reconcile: the status would call an undiscovered kind absent."""
    await _until_answered(cluster.discover, "the API server's kinds")


async def start(cluster: Cluster, queue: WorkQueue[Key], listed: asyncio.Event) -> None:
    """Reconcile everything once the watches have listed it. Earlier reconciles would have to request each object.

    `listed` is set after each list.
    """
    await _wait_for_lists(cluster, listed)
    for key in await _keys(cluster):
        queue.add(key)
    await queue.run()


async def discover(
    cluster: Cluster, queue: WorkQueue[Key], changed: Callable[[], None], *, every: float
) -> None:
    """Restart the watches, and reconcile every resource, when a CRD came or went."""
    while True:
        await asyncio.sleep(every)
        try:
            came_or_went = await cluster.discover()
        except ClusterError as error:
            logger.warning("can't list the API server's kinds, trying again: %s", error)
            continue
        if came_or_went:
            changed()
            logger.info(
                "the API server lacks these kinds: %s",
                ", ".join(kind.kind for kind in cluster.absent) or "none",
            )
            for key in await _keys(cluster):
                queue.add(key)


async def resync(cluster: Cluster, queue: WorkQueue[Key], *, every: float) -> None:
    """Reconcile every resource at intervals, so that a missed event has no lasting effect."""
    while True:
        await asyncio.sleep(every)
        keys = await _keys(cluster)
        for key in keys:
            queue.add(key)
            # Spread them over time, so that new changes don't wait behind all of them.
            await asyncio.sleep(every / 4 / len(keys))


async def _wait_for_lists(cluster: Cluster, listed: asyncio.Event) -> None:
    """Wait for the lists; for those of kinds with a CRD only for a limited time, and for no list that is refused."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + LIST_TIMEOUT_SECONDS
    while missing := cluster.unlisted():
        try:
            async with asyncio.timeout_at(deadline):
                await listed.wait()
        except TimeoutError:
            if all(kind.provider for kind in missing):
                kinds = ", ".join(sorted(kind.kind for kind in missing))
                logger.warning("starting without a list of %s", kinds)
                return
            for kind in missing:
                with contextlib.suppress(ClusterError):
                    # It notes the namespaces that refuse it.
                    await cluster.versions(kind)
            deadline = clock() + LIST_TIMEOUT_SECONDS
        listed.clear()


async def _keys(cluster: Cluster) -> list[Key]:
    """Return every resource's key."""
    return await _until_answered(cluster.keys, "the resources")


async def _until_answered(request: Callable[[], Awaitable[Answer]], subject: str) -> Answer:
    """Repeat a request until the server answers; return the answer."""
    while True:
        try:
            return await request()
        except ClusterError as error:
            logger.warning("can't list %s, trying again: %s", subject, error)
            await asyncio.sleep(RETRY_SECONDS)
