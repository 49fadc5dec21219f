"""The load progress that a starting replica reports, so that users can follow a download of gigabytes."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import aiohttp
from pydantic import BaseModel, Field

from mcq_operator.api import Manifest, MCQSolver, SolverKey
from mcq_operator.api.text import one_line

from .probe_client import ask_replica
from .prober import Prober

EVERY_SECONDS = 3.0
LONGEST_QUOTE = 500
"""Characters that a status quotes from a replica."""


class LoadProgress(BaseModel):
    """The body of `/startupz`."""

    detail: str
    progress: float | None = Field(ge=0, le=1)


async def ask_load_progress(session: aiohttp.ClientSession, address: str) -> str:
    """Ask at the Pod's address, because the Service leads only to ready replicas; never raise.

    Return the progress as text, or an empty string if the replica gives none.
    """
    state = await ask_replica(session, address, "/startupz", LoadProgress)
    return message(state.detail, state.progress) if state else ""


def message(detail: str, progress: float | None) -> str:
    """Return the progress as one line, in steps of ten per cent: each step is a write of the solver's status."""
    text = one_line(detail)[:LONGEST_QUOTE]
    return text if progress is None else f"{text} {int(progress * 10) * 10} % done."


class LoadProgressProber(Prober[str]):
    """Keeps the last answer of each solver's starting replica."""

    QUESTION = "question for the load progress"

    def __init__(self, ask: Callable[[str], Awaitable[str]], **options: Any) -> None:
        """`ask` gets a replica's address; see Prober."""
        super().__init__(unknown="", pause=EVERY_SECONDS, **options)
        self._ask = ask

    def message(self, solver: MCQSolver, pods: Iterable[Manifest]) -> str:
        """Return the last answer of a starting replica of the solver; ask again if it is some seconds old."""
        pod = next((pod for pod in pods if _starts(pod)), None)
        if pod is None:
            self.forget(solver.key)
            return ""
        name = pod["metadata"]["name"]
        progress = self._answer(solver.key, name, partial(self._ask, pod["status"]["podIP"]))
        return f"Pod {name}: {progress}" if progress else ""

    def retry_in(self, key: SolverKey) -> float | None:
        """Return the seconds until the next question to a replica, or None if no replica starts."""
        probe = self._probes.get(key)
        if probe is None:
            return None
        # During a question there is nothing new before the next one is due.
        return EVERY_SECONDS if probe.task else max(0.1, probe.due - self._clock())


def _starts(pod: Manifest) -> bool:
    status = pod.get("status", {})
    containers = status.get("containerStatuses", [])
    running = any("running" in item.get("state", {}) and not item.get("started") for item in containers)
    return running and "podIP" in status and "deletionTimestamp" not in pod["metadata"]
