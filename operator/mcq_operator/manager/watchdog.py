"""The watchdog of the watches: it measures how far they are behind the cluster, and restarts stale ones."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from mcq_operator.api.kinds import WATCHED
from mcq_operator.client import Cluster, ClusterError
from mcq_operator.informer.staleness import WatchStaleness

from .metrics import Metrics

logger = logging.getLogger(__name__)

RESTART_PAUSE_SECONDS = 300.0
"""The pause between two restarts of stale watches: each restart lists everything."""


async def verify_watches(
    cluster: Cluster,
    staleness: WatchStaleness,
    metrics: Metrics,
    restart_watches: Callable[[], None],
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
            await staleness.verify(kinds)
        except ClusterError as error:
            logger.warning("can't verify the watches, next try in %.0f s: %s", every, error)
        for kind in kinds:
            metrics.watch_age.labels(kind=kind.kind).set_function(partial(staleness.age, kind))
        late, restored = staleness.late(stale), staleness.restored(stale)
        if clock() >= due and (late or restored):
            if restored:
                logger.warning("the API server was restored from a backup, so the watches restart")
                cluster.forget()
            else:
                kinds_late = ", ".join(kind.kind for kind in late)
                logger.warning("no events for %.0f s, so the watches restart: %s", stale, kinds_late)
            restart_watches()
            due = clock() + RESTART_PAUSE_SECONDS
        # Check again soon whether a missing event has come.
        pause = min(every, stale) if staleness.behind() else every
