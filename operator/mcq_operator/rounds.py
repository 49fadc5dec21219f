"""Looks at everything there is: at the start, once in a while, and when kinds come or go."""

import asyncio
import logging

from .kube import Cluster, ClusterError
from .models import SolverKey
from .queue import WorkQueue

logger = logging.getLogger(__name__)

SOON_SECONDS = 30.0


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
    cluster: Cluster, queue: WorkQueue[SolverKey], changed: asyncio.Event, *, every: float
) -> None:
    """Watch anew, and look at every solver again, when a CRD came or went."""
    while True:
        await asyncio.sleep(every)
        try:
            if await cluster.discover():
                changed.set()
                logger.info(
                    "absent kinds are now: %s", ", ".join(kind.kind for kind in cluster.absent) or "none"
                )
                await _all(cluster, queue)
        except ClusterError as error:
            logger.warning(
                "the API server can't say which kinds it knows, next try in %.0f s: %s", every, error
            )


async def resync(cluster: Cluster, queue: WorkQueue[SolverKey], *, every: float) -> None:
    """Look at everything, and every solver, once in a while: no missed event is missed for ever.

    The first time soon: what goes while the watches are being set up is missed by them.
    """
    pause = min(every, SOON_SECONDS)
    while True:
        await asyncio.sleep(pause)
        pause = every
        try:
            for key in await cluster.refresh():
                queue.add(key)
            keys = await cluster.keys()
            for key in keys:
                queue.add(key)
                # Little by little: what has really happened must not wait behind them all.
                await asyncio.sleep(every / 4 / len(keys))
        except ClusterError as error:
            logger.warning("solvers can't be listed, next try in %.0f s: %s", every, error)


async def _all(cluster: Cluster, queue: WorkQueue[SolverKey]) -> None:
    await cluster.refresh()
    for key in await cluster.keys():
        queue.add(key)
