"""HTTP connections that can't be held open by doing nothing: uvicorn has no time limit on a request's head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp

MAX_HEAD_BYTES = 32 * 1024
KEEP_ALIVE_SECONDS = (
    75  # longer than the idle limit of common proxies (60 s), which would else lose requests to a race
)
CLOSE_SECONDS = 2  # for connections that stay open after the last answer
MAX_CONNECTIONS = 1024


class Connection(H11Protocol):
    """uvicorn's protocol, with a time limit wherever it waits for a client that is not being answered."""

    head_seconds: ClassVar[float] = 10.0
    """For a request's whole head to be here, from the connection or from the first byte after the last answer.

    Also for the rest of a body that was not read, which is what follows an early answer.
    """
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start waiting for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what came; only a whole head ends the wait, not another byte of it."""
        super().data_received(data)
        if not getattr(self.cycle, "response_complete", True):  # there is no cycle before the first request
            self._stop_waiting()
        elif self.timeout_keep_alive_task is None:
            self._wait()

    def on_response_complete(self) -> None:
        """Leave the idle connection to uvicorn's own limit."""
        self._stop_waiting()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._patience is None and not self.transport.is_closing():
            self._patience = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def config(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves the app: one protocol, bounded everywhere, silent where the app logs itself."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
