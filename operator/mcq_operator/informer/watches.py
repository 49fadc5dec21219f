"""Runs kopf's watches in a thread with its own event loop.

They restart after an error, when a CRD comes or goes, and when they are stale. They need a thread, because kopf
cancels every task of its loop when it ends.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import kopf

from mcq_operator.api.kinds import Kind
from mcq_operator.store import Listing, Observation

from . import handlers
from .lists import Lists
from .login import HandlerMemo
from .watch_events import Events

Item = TypeVar("Item")

logger = logging.getLogger(__name__)

STEADY_SECONDS = 300.0
"""Watches that ran this long were healthy, and the count of failures restarts. kopf itself retries for a minute."""
MAX_FAILURES = 5
"""After more early ends in a row, for example without permissions, the process exits: a restart is visible."""
FIRST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Watches:
    """Runs the watches of some namespaces, and passes their events on.

    Attributes:
        namespaces: the namespaces, or empty for all.
        on_events: called with the objects of one or more events, in the caller's loop.
        on_list: called with each list, in the caller's loop, before the events that follow it.
        ready: set when the watches are set up.

    """

    namespaces: Collection[str]
    on_events: Callable[[Sequence[Observation]], None]
    on_list: Callable[[Listing], None]
    ready: threading.Event

    async def run(self, *, absent: Callable[[], frozenset[Kind]], restart: asyncio.Event) -> None:
        """Watch until cancelled; restart the watches, and call `absent` again, after each `restart`.

        kopf ends all its watches at an error in one, for example an error event other than 410. They restart, and
        their lists show what was missed. Raises the error that keeps ending them.
        """
        clock = asyncio.get_running_loop().time
        failures = 0
        while True:
            restart.clear()
            began = clock()
            async with self._running(absent()) as thread:
                waiting: asyncio.Future[Any] = asyncio.ensure_future(restart.wait())
                try:
                    await asyncio.wait({thread, waiting}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                if not thread.done():
                    failures = 0
                    continue
                error = thread.exception() or RuntimeError("kopf has ended on its own")
            failures = 1 if clock() - began >= STEADY_SECONDS else failures + 1
            if failures > MAX_FAILURES:
                raise error
            pause = FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1)
            logger.warning("the watches have ended and restart in %.0f s: %s", pause, error)
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def _running(self, absent: frozenset[Kind]) -> AsyncIterator[asyncio.Future[None]]:
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        memo = HandlerMemo(
            Lists(partial(_call, loop, self.on_list)), Events(partial(_call, loop, self.on_events))
        )
        thread = asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run(self._kopf(memo, absent, stop))))
        try:
            yield thread
        finally:
            stop.set()
            # Wait for the thread even when cancelled: otherwise two threads would watch at once.
            await asyncio.wait({thread})

    async def _kopf(self, memo: HandlerMemo, absent: frozenset[Kind], stop: threading.Event) -> None:
        try:
            await kopf.operator(
                registry=handlers.registry(absent=absent),
                settings=handlers.settings(),
                memo=memo,
                standalone=True,
                clusterwide=not self.namespaces,
                namespaces=self.namespaces,
                ready_flag=self.ready,
                stop_flag=stop,
            )
        finally:
            # Another thread of kopf waits for this flag; after an error, it would keep this thread from ending.
            stop.set()


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[Item], None], item: Item) -> None:
    """Make the call in the loop of another thread. Each call wakes that thread."""
    with contextlib.suppress(RuntimeError):  # that loop has ended, and this thread will, too
        loop.call_soon_threadsafe(callback, item)
