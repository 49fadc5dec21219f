"""The number of API keys that a solver's replicas accept, as one of them reports it.

The operator must not read Secrets, so it can't know whether the one in `auth.apiKeysSecretRef` exists, or which of its
keys are invalid. A replica knows, and reports how many it accepts and how many it can't use, without names. The
operator asks one ready replica after the other, outside the reconciles. Only a new answer requeues the solver.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import aiohttp
from pydantic import BaseModel

from mcq_operator.api import Manifest, MCQSolver, SolverKey
from mcq_operator.api.observed import KeyCount

from .probe_client import ask_replica
from .prober import Probe, Prober, may_be_asked

EVERY_SECONDS = 15.0


class Readiness(BaseModel):
    """The body of `/readyz`."""

    api_keys: KeyCount


async def ask_api_keys(session: aiohttp.ClientSession, address: str) -> KeyCount | None:
    """Ask at the Pod's address; return None if the replica gives no counts. Never raise."""
    readiness = await ask_replica(session, address, "/readyz", Readiness)
    return readiness.api_keys if readiness else None


class APIKeyProber(Prober[KeyCount | None]):
    """Keeps the last answer of a replica for each solver with API keys."""

    QUESTION = "question for the API keys"

    def __init__(
        self,
        ask: Callable[[str], Awaitable[KeyCount | None]],
        *,
        every_seconds: float = EVERY_SECONDS,
        **options: Any,
    ) -> None:
        """`ask` gets a replica's address; see Prober."""
        super().__init__(unknown=None, pause=every_seconds, **options)
        self._ask = ask
        self._ready: dict[SolverKey, dict[str, str]] = {}
        self._last: dict[SolverKey, str] = {}

    def count(self, solver: MCQSolver, pods: Iterable[Manifest]) -> KeyCount | None:
        """Return the last answer of the solver's ready replicas; None without keys, or before an answer."""
        ready = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods if may_be_asked(pod)}
        if solver.spec.auth.api_keys_secret_ref is None or not ready:
            self.forget(solver.key)
            return None
        self._ready[solver.key] = ready
        return self._answer(solver.key, "", partial(self._ask_next, solver.key))

    def forget(self, key: SolverKey) -> None:
        """Drop a solver's answer and cancel its current question."""
        super().forget(key)
        self._ready.pop(key, None)
        self._last.pop(key, None)

    async def _ask_next(self, key: SolverKey) -> KeyCount | None:
        """Ask the ready replica after the last asked one."""
        ready, last = self._ready[key], self._last.get(key, "")
        ordered = sorted(ready)
        pod = self._last[key] = next((name for name in ordered if name > last), ordered[0])
        return await self._ask(ready[pod])

    async def _run(
        self, key: SolverKey, probe: Probe[KeyCount | None], ask: Callable[[], Awaitable[KeyCount | None]]
    ) -> None:
        """Ask at intervals, without a reconcile."""
        while True:
            await self._question(key, probe, ask)
            await asyncio.sleep(self._pause)

    def _take(self, key: SolverKey, probe: Probe[KeyCount | None], answer: KeyCount | None) -> None:
        """Keep counts; a replica that gives none changes nothing."""
        if answer is not None:
            super()._take(key, probe, answer)
