"""Questions to replicas beside the reconciles, at most one for each solver at a time."""

import asyncio
from dataclasses import dataclass
from typing import Generic, TypeVar

from mcq_operator.api import SolverKey


@dataclass(kw_only=True)
class Asking:
    """The known answers of a solver, and the task of the current question."""

    asking: asyncio.Task[None] | None = None


Entry = TypeVar("Entry", bound=Asking)


class Askings(Generic[Entry]):
    """An entry for each solver with questions."""

    def __init__(self) -> None:
        """Start without entries."""
        self._entries: dict[SolverKey, Entry] = {}

    def forget(self, key: SolverKey) -> None:
        """Drop a solver's entry and cancel its current question."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.asking is not None:
            entry.asking.cancel()

    async def close(self) -> None:
        """Cancel all questions."""
        tasks = [entry.asking for entry in self._entries.values() if entry.asking is not None]
        for key in list(self._entries):
            self.forget(key)
        await asyncio.gather(*tasks, return_exceptions=True)
