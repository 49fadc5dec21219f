"""Looks at everything there is: at the start, once in a while, and when kinds come or go."""

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from .kube import Cluster, ClusterError
from .models import Key
from .queue import WorkQueue

logger = logging.getLogger(__name__)

SOON_SECONDS = (3.0, 7.0, 20.0)
"""Pauses between the looks after watches began: what goes while they are being set up is missed by them."""
RETRY_SECONDS = 1.0
"""The pause before the next try of a look that failed."""
OWED_TRIES = 8
"""How often a kind that has just come, and can't be listed, is tried; the pauses grow."""


async def discovered(cluster: Cluster) -> None:
    """Know the optional kinds before the first reconcile: to take one for absent would be to tell of it."""
    while True:
        try:
            await cluster.discover()
        except ClusterError as error:
            logger.warning("the API server can't say which kinds it knows: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


async def work(cluster: Cluster, queue: WorkQueue[Key]) -> None:
    """Reconcile, once all there is was looked at: each resource by itself would ask for what it needs."""
    for key in await _everything(cluster, queue):
        queue.add(key)
    await queue.run()


class _Look(NamedTuple):
    """One look at everything: every resource, and whether objects of each kind could be listed."""

    keys: list[Key]
    whole: bool


async def discover(
    cluster: Cluster, queue: WorkQueue[Key], changed: Callable[[], None], *, every: float
) -> None:
    """Watch anew, and look at every resource again, when a CRD came or went.

    A kind that has just come may not be listed yet ("storage is (re)initializing"): the look is owed until it is.
    """
    tries = 0
    while True:
        await asyncio.sleep(min(every, RETRY_SECONDS * 2.0 ** (tries - 1)) if tries else every)
        try:
            came_or_went = await cluster.discover()
        except ClusterError as error:
            logger.warning("the API server can't say which kinds it knows, which is asked again: %s", error)
            continue
        if came_or_went:
            changed()
            logger.info("absent kinds are now: %s", ", ".join(kind.kind for kind in cluster.absent) or "none")
        if came_or_went or tries:
            look = await _look(cluster, queue)
            for key in look.keys if look else ():
                queue.add(key)
            # A kind that the server can never list is left to the resync.
            tries = 0 if look and (look.whole or tries == OWED_TRIES) else tries + 1


async def resync(cluster: Cluster, queue: WorkQueue[Key], anew: asyncio.Event, *, every: float) -> None:
    """Look at everything, and every resource, once in a while: no missed event is missed for ever.

    At everything also soon after the start, and whenever watches begin `anew`.
    """
    soon = iter(SOON_SECONDS)
    while True:
        pause = next(soon, every)
        if await _within(min(pause, every), anew):
            anew.clear()
            soon = iter(SOON_SECONDS)
            continue
        keys = await _everything(cluster, queue)
        if pause == every:
            await _add_slowly(queue, keys, seconds=every / 4)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Whether it happened in the time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _everything(cluster: Cluster, queue: WorkQueue[Key]) -> list[Key]:
    """Look at everything, as often as it takes; returns every resource."""
    while True:
        look = await _look(cluster, queue)
        if look is not None:
            return look.keys
        await asyncio.sleep(RETRY_SECONDS)


async def _look(cluster: Cluster, queue: WorkQueue[Key]) -> _Look | None:
    """Look at everything; returns None if that could not be done.

    Resources whose objects are other than was known are added at once: the next look would not tell of them.
    """
    try:
        failed = await cluster.refresh(queue.add)
        return _Look(await cluster.keys(), whole=not failed)
    except ClusterError as error:
        logger.warning("the cluster can't be looked at, which is tried again: %s", error)
        return None


async def _add_slowly(queue: WorkQueue[Key], keys: list[Key], *, seconds: float) -> None:
    """Little by little: what has really happened must not wait behind them all."""
    for key in keys:
        queue.add(key)
        await asyncio.sleep(seconds / len(keys))
