"""Looks at everything there is: at the start, once in a while, and when kinds come or go."""

import asyncio
import logging
from collections.abc import Callable

from .kube import Cluster, ClusterError
from .models import SolverKey
from .queue import WorkQueue

logger = logging.getLogger(__name__)

SOON_SECONDS = (3.0, 7.0, 20.0)
"""Pauses between the looks after watches began: what goes while they are being set up is missed by them."""


async def discovered(cluster: Cluster) -> None:
    """Know the optional kinds before the first reconcile: to take one for absent would be to tell of it."""
    while True:
        try:
            await cluster.discover()
        except ClusterError as error:
            logger.warning("the API server can't say which kinds it knows: %s", error)
            await asyncio.sleep(1)
        else:
            return


async def work(cluster: Cluster, queue: WorkQueue[SolverKey]) -> None:
    """Reconcile, once all there is was looked at: each solver by itself would ask for what it needs."""
    while True:
        try:
            await _all(cluster, queue)
        except ClusterError as error:
            logger.warning("the cluster can't be looked at: %s", error)
            await asyncio.sleep(1)
        else:
            await queue.run()


async def discover(
    cluster: Cluster, queue: WorkQueue[SolverKey], changed: Callable[[], None], *, every: float
) -> None:
    """Watch anew, and look at every solver again, when a CRD came or went."""
    while True:
        await asyncio.sleep(every)
        try:
            if await cluster.discover():
                changed()
                logger.info(
                    "absent kinds are now: %s", ", ".join(kind.kind for kind in cluster.absent) or "none"
                )
                await _all(cluster, queue)
        except ClusterError as error:
            logger.warning(
                "the API server can't say which kinds it knows, next try in %.0f s: %s", every, error
            )


async def resync(cluster: Cluster, queue: WorkQueue[SolverKey], anew: asyncio.Event, *, every: float) -> None:
    """Look at everything, and every solver, once in a while: no missed event is missed for ever.

    At everything also soon after the start, and whenever watches begin `anew`.
    """
    soon = iter(SOON_SECONDS)
    while True:
        pause = next(soon, every)
        if await _within(min(pause, every), anew):
            anew.clear()
            soon = iter(SOON_SECONDS)
            continue
        try:
            for key in await cluster.refresh():
                queue.add(key)
            if pause == every:
                await _every_one(cluster, queue, seconds=every / 4)
        except ClusterError as error:
            logger.warning("solvers can't be listed, next try in %.0f s: %s", every, error)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Whether it happened in the time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _every_one(cluster: Cluster, queue: WorkQueue[SolverKey], *, seconds: float) -> None:
    """Little by little: what has really happened must not wait behind them all."""
    keys = await cluster.keys()
    for key in keys:
        queue.add(key)
        await asyncio.sleep(seconds / len(keys))


async def _all(cluster: Cluster, queue: WorkQueue[SolverKey]) -> None:
    await cluster.refresh()
    for key in await cluster.keys():
        queue.add(key)
