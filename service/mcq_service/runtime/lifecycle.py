"""The state of this replica from start to drain, as the probes show it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mcq_service.api.problems import Draining, NotReady

if TYPE_CHECKING:
    from mcq_service.runtime.builder import Backend

_log = logging.getLogger(__name__)


class Status(StrEnum):
    """The status in `/startupz` and `/readyz`."""

    FETCHING = "fetching"
    CONVERTING = "converting"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass
class Lifecycle:
    """The state of one replica; `progress` is 0 to 1 within the status, None if unknown."""

    status: Status = Status.FETCHING
    detail: str = "Starting."
    progress: float | None = None
    backend: Backend | None = None

    def report(self, status: Status, progress: float | None, detail: str) -> None:
        """Set the status, and log a new one: a download takes minutes, and may fail several times."""
        # The server logs a failure, as an error.
        if (status, detail) != (self.status, self.detail) and status is not Status.FAILED:
            _log.info("%s: %s", status, detail)
        self.status, self.progress, self.detail = status, progress, detail

    def set_ready(self, backend: Backend) -> None:
        """Start answering: the backend has answered its first question."""
        self.backend = backend
        self.report(Status.READY, None, "Answering questions.")

    @property
    def started(self) -> bool:
        """True once the model is loaded and warm."""
        return self.backend is not None

    @property
    def is_ready(self) -> bool:
        """True while new questions are answered."""
        return self.status is Status.READY and self.is_alive

    @property
    def is_alive(self) -> bool:
        """True unless the engine's thread was started and has ended."""
        return self.backend is None or self.backend.alive()

    def require_backend(self) -> Backend:
        """Return the backend. Raises NotReady or Draining if there is none to use."""
        if self.status is Status.DRAINING:
            raise Draining("Send the request again: another replica will take it.")
        if self.backend is None:
            raise NotReady(f"{self.status.capitalize()}: {self.detail}", headers={"Retry-After": "5"})
        return self.backend

    async def drain(self, *, seconds: float) -> bool:
        """Refuse new questions and wait for the admitted ones; return whether all ended within `seconds`."""
        self.report(Status.DRAINING, None, "Finishing the admitted questions.")
        return self.backend is None or await self.backend.admission.drain(seconds=seconds)
