"""The load progress of a starting replica, as it reports it, so that users can follow a download of gigabytes.

The operator asks replicas beside the reconciles, as for the canary. A reconcile gets the last known answer.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, Field, ValidationError

from mcq_operator.api import Manifest, MCQSolver, SolverKey
from mcq_operator.api.text import one_line

from . import ProbeClient, ProbeError, replica_url
from .prober import Probe, Prober

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 3.0
EVERY_SECONDS = 3.0
LONGEST_QUOTE = 500
"""Characters that a status quotes from a replica."""


class LoadProgress(BaseModel):
    """The body of `/startupz`."""

    detail: str
    progress: float | None = Field(ge=0, le=1)


class AskLoadProgress(Protocol):
    """Asks a replica for its load progress."""

    async def __call__(self, address: str, /) -> str:
        """Return the progress as text, or an empty string if the replica gives none. Never raises."""


class HttpLoadProgress:
    """Asks over HTTP at the Pod's address, because the Service leads only to ready replicas."""

    def __init__(self, probe_client: ProbeClient) -> None:
        """Ask through `probe_client`."""
        self._client = probe_client

    async def __call__(self, address: str) -> str:
        """Ask once."""
        try:
            reply = await self._client.get(replica_url(address, "/startupz"), seconds=TIMEOUT_SECONDS)
            state = LoadProgress.model_validate_json(reply.body)
        except (ProbeError, ValidationError):
            return ""
        return message(state.detail, state.progress)


def message(detail: str, progress: float | None) -> str:
    """Return the progress as one line, in steps of ten per cent: each step is a write of the solver's status."""
    text = one_line(detail)[:LONGEST_QUOTE]
    return text if progress is None else f"{text} {int(progress * 10) * 10} % done."


@dataclass(kw_only=True)
class _LoadProgressProbe(Probe):
    pod: str
    message: str = ""
    due: float = 0.0


class LoadProgressProber(Prober[_LoadProgressProbe]):
    """Keeps the last answer of each solver's starting replica."""

    def __init__(
        self, ask: AskLoadProgress, *, clock: Callable[[], float], requeue: Callable[[SolverKey], None]
    ) -> None:
        """Set up.

        Args:
            ask: asks a replica.
            clock: monotonic seconds.
            requeue: called with the solver's key when an answer is new.

        """
        super().__init__()
        self._ask = ask
        self._clock = clock
        self._requeue = requeue

    def message(self, solver: MCQSolver, pods: Iterable[Manifest]) -> str:
        """Return the last answer of a starting replica of the solver; ask again if it is some seconds old."""
        pod = next((pod for pod in pods if _starts(pod)), None)
        if pod is None:
            self.forget(solver.key)
            return ""
        name = pod["metadata"]["name"]
        probe = self._probes.get(solver.key)
        if probe is None or probe.pod != name:
            self.forget(solver.key)
            probe = self._probes[solver.key] = _LoadProgressProbe(pod=name)
        if probe.task is None and self._clock() >= probe.due:
            address = pod["status"]["podIP"]
            probe.task = asyncio.create_task(self._question(solver.key, probe, address))
        return f"Pod {name}: {probe.message}" if probe.message else ""

    def retry_in(self, key: SolverKey) -> float | None:
        """Return the seconds until the next question to a replica, or None if no replica starts."""
        probe = self._probes.get(key)
        if probe is None:
            return None
        # During a question there is nothing new before the next one is due.
        return EVERY_SECONDS if probe.task else max(0.1, probe.due - self._clock())

    async def _question(self, key: SolverKey, probe: _LoadProgressProbe, address: str) -> None:
        answer = ""
        try:
            answer = await self._ask(address)
        except Exception:  # otherwise the next question would wait for the next replica
            logger.exception("%s: a starting replica could not be asked for its load progress", key)
        finally:
            probe.task = None
        probe.due = self._clock() + EVERY_SECONDS
        if answer != probe.message:
            probe.message = answer
            self._requeue(key)


def _starts(pod: Manifest) -> bool:
    status = pod.get("status", {})
    containers = status.get("containerStatuses", [])
    running = any("running" in item.get("state", {}) and not item.get("started") for item in containers)
    return running and "podIP" in status and "deletionTimestamp" not in pod["metadata"]
