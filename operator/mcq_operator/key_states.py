"""How many API keys a solver's replicas accept, as one of them says itself.

The operator may not read Secrets, so it can't know whether the one that `auth.apiKeysSecretRef` names exists, or what
is wrong with its keys. A replica knows, and says how many it accepts and how many it can't use, without names. One
ready replica after the other is asked, beside the reconciles; only what is new makes one.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from pydantic import BaseModel, Field, ValidationError

from .asking import Asking, Askings
from .models import Manifest, MCQSolver, SolverKey
from .models.observed import KeyCount, is_ready
from .probes import ProbeError, Prober, replica_url

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 3.0
EVERY_SECONDS = 15.0

Count = Annotated[int, Field(ge=0, lt=2**31)]


class Keys(BaseModel):
    """How many API keys a replica has."""

    accepted: Count
    invalid: Count


class Readiness(BaseModel):
    """What `/readyz` answers."""

    api_keys: Keys


class AskKeys(Protocol):
    """Asks a replica about its API keys."""

    async def __call__(self, address: str, /) -> KeyCount | None:
        """Return how many it has; None where it doesn't say. Never raises."""


class HttpAskKeys:
    """Asks over HTTP at the Pod's address, without a key."""

    def __init__(self, prober: Prober) -> None:
        """Ask through `prober`."""
        self._prober = prober

    async def __call__(self, address: str) -> KeyCount | None:
        """Ask once."""
        try:
            reply = await self._prober.get(replica_url(address, "/readyz"), seconds=TIMEOUT_SECONDS)
            keys = Readiness.model_validate_json(reply.body).api_keys
        except (ProbeError, ValidationError):
            return None
        return KeyCount(accepted=keys.accepted, invalid=keys.invalid)


@dataclass(kw_only=True)
class _Entry(Asking):
    pods: dict[str, str] = field(default_factory=dict)
    last: str = ""
    count: KeyCount | None = None

    def next(self) -> str | None:
        """The name of the replica after the one that was asked last."""
        ordered = sorted(self.pods)
        return next((name for name in ordered if name > self.last), ordered[0] if ordered else None)


class KeyStates(Askings[_Entry]):
    """Remembers what a replica of each solver with API keys said last."""

    def __init__(
        self,
        ask: AskKeys,
        *,
        learned: Callable[[SolverKey], None],
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        """Set up.

        Args:
            ask: asks a replica.
            learned: called with the solver's key when a replica says something new.
            every_seconds: between two questions about a solver.

        """
        super().__init__()
        self._ask = ask
        self._learned = learned
        self._every_seconds = every_seconds

    def count(self, solver: MCQSolver, pods: Iterable[Manifest]) -> KeyCount | None:
        """What one of the solver's ready replicas said last; None where none is asked, or none has answered."""
        ready = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods if _may_be_asked(pod)}
        if solver.spec.auth.api_keys_secret_ref is None or not ready:
            self.forget(solver.key)
            return None
        entry = self._entries.setdefault(solver.key, _Entry())
        entry.pods = ready
        if entry.asking is None:
            entry.asking = asyncio.create_task(self._questions(solver.key, entry))
        return entry.count

    async def _questions(self, key: SolverKey, entry: _Entry) -> None:
        while True:
            if (pod := entry.next()) is not None:
                entry.last = pod
                said = await self._said(key, entry.pods[pod])
                if said not in {None, entry.count}:
                    entry.count = said
                    self._learned(key)
            await asyncio.sleep(self._every_seconds)

    async def _said(self, key: SolverKey, address: str) -> KeyCount | None:
        try:
            return await self._ask(address)
        except Exception:  # otherwise nobody would ask again
            logger.exception("%s: a replica could not be asked about its API keys", key)
            return None


def _may_be_asked(pod: Manifest) -> bool:
    return is_ready(pod) and "podIP" in pod["status"] and "deletionTimestamp" not in pod["metadata"]
