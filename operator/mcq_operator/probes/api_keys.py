"""The number of API keys that a solver's replicas accept, as one of them reports it.

The operator must not read Secrets, so it can't know whether the one in `auth.apiKeysSecretRef` exists, or which of its
keys are invalid. A replica knows, and reports how many it accepts and how many it can't use, without names. The
operator asks one ready replica after the other, beside the reconciles. Only a new answer requeues the solver.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from pydantic import BaseModel, Field, ValidationError

from mcq_operator.api import Manifest, MCQSolver, SolverKey
from mcq_operator.api.observed import KeyCount, is_ready

from . import ProbeClient, ProbeError, replica_url
from .prober import Probe, Prober

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 3.0
EVERY_SECONDS = 15.0

Count = Annotated[int, Field(ge=0, lt=2**31)]


class Keys(BaseModel):
    """A replica's API keys by validity."""

    accepted: Count
    invalid: Count


class Readiness(BaseModel):
    """The body of `/readyz`."""

    api_keys: Keys


class AskAPIKeys(Protocol):
    """Asks a replica about its API keys."""

    async def __call__(self, address: str, /) -> KeyCount | None:
        """Return the replica's counts; None if it gives none. Never raises."""


class HttpAPIKeys:
    """Asks over HTTP at the Pod's address, without a key."""

    def __init__(self, probe_client: ProbeClient) -> None:
        """Ask through `probe_client`."""
        self._client = probe_client

    async def __call__(self, address: str) -> KeyCount | None:
        """Ask once."""
        try:
            reply = await self._client.get(replica_url(address, "/readyz"), seconds=TIMEOUT_SECONDS)
            keys = Readiness.model_validate_json(reply.body).api_keys
        except (ProbeError, ValidationError):
            return None
        return KeyCount(accepted=keys.accepted, invalid=keys.invalid)


@dataclass(kw_only=True)
class _APIKeyProbe(Probe):
    pods: dict[str, str] = field(default_factory=dict)
    last: str = ""
    count: KeyCount | None = None

    def next(self) -> str | None:
        """Return the name of the replica after the last asked one."""
        ordered = sorted(self.pods)
        return next((name for name in ordered if name > self.last), ordered[0] if ordered else None)


class APIKeyProber(Prober[_APIKeyProbe]):
    """Keeps the last answer of a replica for each solver with API keys."""

    def __init__(
        self,
        ask: AskAPIKeys,
        *,
        requeue: Callable[[SolverKey], None],
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        """Set up.

        Args:
            ask: asks a replica.
            requeue: called with the solver's key when an answer is new.
            every_seconds: the pause between two questions about a solver.

        """
        super().__init__()
        self._ask = ask
        self._requeue = requeue
        self._every_seconds = every_seconds

    def count(self, solver: MCQSolver, pods: Iterable[Manifest]) -> KeyCount | None:
        """Return the last answer of the solver's ready replicas; None without keys, or before an answer."""
        ready = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods if _may_be_asked(pod)}
        if solver.spec.auth.api_keys_secret_ref is None or not ready:
            self.forget(solver.key)
            return None
        probe = self._probes.setdefault(solver.key, _APIKeyProbe())
        probe.pods = ready
        if probe.task is None:
            probe.task = asyncio.create_task(self._questions(solver.key, probe))
        return probe.count

    async def _questions(self, key: SolverKey, probe: _APIKeyProbe) -> None:
        while True:
            if (pod := probe.next()) is not None:
                probe.last = pod
                answer = await self._answer(key, probe.pods[pod])
                if answer not in {None, probe.count}:
                    probe.count = answer
                    self._requeue(key)
            await asyncio.sleep(self._every_seconds)

    async def _answer(self, key: SolverKey, address: str) -> KeyCount | None:
        try:
            return await self._ask(address)
        except Exception:  # otherwise the questions would stop
            logger.exception("%s: a replica could not be asked about its API keys", key)
            return None


def _may_be_asked(pod: Manifest) -> bool:
    return is_ready(pod) and "podIP" in pod["status"] and "deletionTimestamp" not in pod["metadata"]
