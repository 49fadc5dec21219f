"""All that a solver's replicas are asked between its reconciles."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

import aiohttp

from mcq_operator.api import SolverKey

from .api_keys import APIKeyProber, ask_api_keys
from .canary import CanaryProber, ask_canary
from .load_progress import LoadProgressProber, ask_load_progress
from .traffic import TrafficProber, ask_traffic


@dataclass(kw_only=True)
class Probers:
    """The probers of one operator."""

    canary: CanaryProber
    load_progress: LoadProgressProber
    api_keys: APIKeyProber
    traffic: TrafficProber

    @classmethod
    def over_http(
        cls, session: aiohttp.ClientSession, *, canary_url: str, requeue: Callable[[SolverKey], None]
    ) -> Self:
        """Ask through `session`, the test question at `canary_url`; a new answer requeues the solver's key."""
        return cls(
            canary=CanaryProber(partial(ask_canary, session, canary_url), requeue=requeue),
            load_progress=LoadProgressProber(partial(ask_load_progress, session), requeue=requeue),
            api_keys=APIKeyProber(partial(ask_api_keys, session), requeue=requeue),
            traffic=TrafficProber(partial(ask_traffic, session), requeue=requeue),
        )

    def retry_in(self, key: SolverKey) -> float | None:
        """Return in how many seconds the solver's next question is due; None if none is."""
        times = [each.retry_in(key) for each in (self.canary, self.load_progress, self.traffic)]
        return min((seconds for seconds in times if seconds is not None), default=None)

    def forget(self, key: SolverKey) -> None:
        """Drop all answers about a solver, and cancel its questions."""
        for each in self._all:
            each.forget(key)

    async def close(self) -> None:
        """Cancel all questions."""
        for each in self._all:
            await each.close()

    @property
    def _all(self) -> tuple[CanaryProber, LoadProgressProber, APIKeyProber, TrafficProber]:
        return self.canary, self.load_progress, self.api_keys, self.traffic
