"""kopf's watches, in a thread with an event loop of its own, made anew when kinds come or go.

In a thread, because kopf takes every task of its loop for one of its own when it ends, and cancels it.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

import kopf

from . import handlers
from .kube import Sighting
from .models.kinds import Kind


@dataclass(frozen=True)
class _Threadsafe:
    """Who is told, in another thread's loop."""

    loop: asyncio.AbstractEventLoop
    seen: Callable[[Sighting], None]

    def saw(self, seen: Sighting) -> None:
        """Pass it on."""
        with contextlib.suppress(RuntimeError):  # that loop has ended: so will this thread
            self.loop.call_soon_threadsafe(self.seen, seen)


@dataclass(frozen=True, kw_only=True)
class Watching:
    """What is watched, and who is told.

    Attributes:
        namespaces: those to watch, or none for all.
        seen: told what each event said, in the caller's loop.
        ready: set when watches are set up.

    """

    namespaces: Collection[str]
    seen: Callable[[Sighting], None]
    ready: threading.Event

    async def run(self, *, absent: Callable[[], frozenset[Kind]], changed: asyncio.Event) -> None:
        """Watch until cancelled; what is `absent` is asked again whenever that has `changed`."""
        while True:
            changed.clear()
            async with self._watching(absent()) as thread:
                waiting = asyncio.ensure_future(_until(changed))
                try:
                    await asyncio.wait({thread, waiting}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                if thread.done():
                    thread.result()
                    message = "kopf has ended on its own"
                    raise RuntimeError(message)

    @asynccontextmanager
    async def _watching(self, absent: frozenset[Kind]) -> AsyncIterator[asyncio.Future[None]]:
        stop = threading.Event()
        memo = handlers.Memo(_Threadsafe(asyncio.get_running_loop(), self.seen))
        thread = asyncio.ensure_future(asyncio.to_thread(self._kopf, memo, absent, stop))
        try:
            yield thread
        finally:
            stop.set()
            # Whoever is cancelled here still waits for the thread: two of them would watch at once.
            await asyncio.wait({thread})

    def _kopf(self, memo: handlers.Memo, absent: frozenset[Kind], stop: threading.Event) -> None:
        asyncio.run(
            kopf.operator(
                registry=handlers.registry(absent=absent),
                settings=handlers.settings(),
                memo=memo,
                standalone=True,
                clusterwide=not self.namespaces,
                namespaces=self.namespaces,
                ready_flag=self.ready,
                stop_flag=stop,
            )
        )


async def _until(event: asyncio.Event) -> None:
    await event.wait()
