"""kopf's watches, in a thread with an event loop of its own, made anew when kinds come or go.

In a thread, because kopf takes every task of its loop for one of its own when it ends, and cancels it.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import kopf

from . import handlers
from .kube import Listing, Sighting
from .lists import Lists
from .models.kinds import Kind

Told = TypeVar("Told")


logger = logging.getLogger(__name__)

STEADY_SECONDS = 300.0
"""Watches that lasted so long were sound: what ended them is no reason to give up. kopf itself tries for a minute."""
MOST_FAILURES = 5
"""After so many watches in a row that ended soon, as for missing rights, the process ends too, which is noticed."""
FIRST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class _Threadsafe:
    """Who is told, in another thread's loop."""

    loop: asyncio.AbstractEventLoop
    seen: Callable[[Sighting], None]
    listing: Callable[[Listing], None]

    def saw(self, seen: Sighting) -> None:
        """Pass it on."""
        self._call(self.seen, seen)

    def listed(self, listing: Listing) -> None:
        """Pass it on."""
        self._call(self.listing, listing)

    def _call(self, tell: Callable[[Told], None], told: Told) -> None:
        with contextlib.suppress(RuntimeError):  # that loop has ended: so will this thread
            self.loop.call_soon_threadsafe(tell, told)


@dataclass(frozen=True, kw_only=True)
class Watching:
    """What is watched, and who is told.

    Attributes:
        namespaces: those to watch, or none for all.
        seen: told what each event said, in the caller's loop.
        listed: told what each of the watches' lists has, in the caller's loop, before the events that come of it.
        ready: set when watches are set up.

    """

    namespaces: Collection[str]
    seen: Callable[[Sighting], None]
    listed: Callable[[Listing], None]
    ready: threading.Event

    async def run(self, *, absent: Callable[[], frozenset[Kind]], changed: asyncio.Event) -> None:
        """Watch until cancelled; what is `absent` is asked again whenever that has `changed`.

        kopf ends all its watches at an error in one, such as an error event that is no 410: they begin anew, and are
        told by their lists what has been missed. Raises what keeps ending them.
        """
        clock = asyncio.get_running_loop().time
        failures = 0
        while True:
            changed.clear()
            began = clock()
            async with self._watching(absent()) as thread:
                waiting = asyncio.ensure_future(_until(changed))
                try:
                    await asyncio.wait({thread, waiting}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                if not thread.done():
                    failures = 0
                    continue
                error = thread.exception() or RuntimeError("kopf has ended on its own")
            failures = 1 if clock() - began >= STEADY_SECONDS else failures + 1
            if failures > MOST_FAILURES:
                raise error
            pause = FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1)
            logger.warning("the watches have ended, and begin anew in %.0f s: %s", pause, error)
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def _watching(self, absent: frozenset[Kind]) -> AsyncIterator[asyncio.Future[None]]:
        stop = threading.Event()
        told = _Threadsafe(asyncio.get_running_loop(), self.seen, self.listed)
        memo = handlers.Memo(told, Lists(told.listed))
        thread = asyncio.ensure_future(asyncio.to_thread(self._kopf, memo, absent, stop))
        try:
            yield thread
        finally:
            stop.set()
            # Whoever is cancelled here still waits for the thread: two of them would watch at once.
            await asyncio.wait({thread})

    def _kopf(self, memo: handlers.Memo, absent: frozenset[Kind], stop: threading.Event) -> None:
        asyncio.run(self._operator(memo, absent, stop))

    async def _operator(self, memo: handlers.Memo, absent: frozenset[Kind], stop: threading.Event) -> None:
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
            # kopf has yet another thread wait for it, without which this one would never end after an error.
            stop.set()


async def _until(event: asyncio.Event) -> None:
    await event.wait()
