"""From start to drain: what state this replica is in, as the probes show it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mcq_service.api.problems import Draining, NotReady

if TYPE_CHECKING:
    from mcq_service.runtime.builder import Serving


class Status(StrEnum):
    """The words `/startupz` and `/readyz` show."""

    FETCHING = "fetching"
    CONVERTING = "converting"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass
class Lifecycle:
    """The state of one replica; `progress` is 0 to 1 within the status, None where unknown."""

    status: Status = Status.FETCHING
    detail: str = "Starting."
    progress: float | None = None
    serving: Serving | None = None

    def report(self, status: Status, progress: float | None, detail: str) -> None:
        """Say where the start is."""
        self.status, self.progress, self.detail = status, progress, detail

    def ready(self, serving: Serving) -> None:
        """The model has answered its first question."""
        self.serving = serving
        self.report(Status.READY, None, "Answering questions.")

    @property
    def started(self) -> bool:
        """Whether the model is loaded and warm."""
        return self.serving is not None

    @property
    def is_ready(self) -> bool:
        """Whether new questions are answered."""
        return self.status is Status.READY and self.is_alive

    @property
    def is_alive(self) -> bool:
        """Whether the engine's thread, if it was started, still runs."""
        return self.serving is None or self.serving.alive()

    def require_serving(self) -> Serving:
        """What answers; raises NotReady or Draining where it is not to be had."""
        if self.status is Status.DRAINING:
            raise Draining("Send the request again: another replica will take it.")
        if self.serving is None:
            raise NotReady(f"{self.status.capitalize()}: {self.detail}", headers={"Retry-After": "5"})  # noqa: EM102
        return self.serving

    async def drain(self, *, seconds: float) -> bool:
        """Refuse new questions and wait for those that were admitted; returns whether all of them ended."""
        self.report(Status.DRAINING, None, "Finishing the questions that were admitted.")
        return self.serving is None or await self.serving.admission.drain(seconds=seconds)
