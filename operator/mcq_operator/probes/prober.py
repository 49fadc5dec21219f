"""Questions to replicas beside the reconciles, at most one for each solver at a time."""

import asyncio
from dataclasses import dataclass
from typing import Generic, TypeVar

from mcq_operator.api import SolverKey


@dataclass(kw_only=True)
class Probe:
    """The known answers of a solver, and the task of the current question."""

    task: asyncio.Task[None] | None = None


ProbeT = TypeVar("ProbeT", bound=Probe)


class Prober(Generic[ProbeT]):
    """A probe for each solver with questions."""

    def __init__(self) -> None:
        """Start without probes."""
        self._probes: dict[SolverKey, ProbeT] = {}

    def forget(self, key: SolverKey) -> None:
        """Drop a solver's probe and cancel its current question."""
        probe = self._probes.pop(key, None)
        if probe is not None and probe.task is not None:
            probe.task.cancel()

    async def close(self) -> None:
        """Cancel all questions."""
        tasks = [probe.task for probe in self._probes.values() if probe.task is not None]
        for key in list(self._probes):
            self.forget(key)
        await asyncio.gather(*tasks, return_exceptions=True)
