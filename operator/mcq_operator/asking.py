"""Questions that are asked beside the reconciles, at most one a solver at a time."""

import asyncio
from dataclasses import dataclass
from typing import Generic, TypeVar

from .models import SolverKey


@dataclass(kw_only=True)
class Asking:
    """What is known of a solver, and the question that is being asked."""

    asking: asyncio.Task[None] | None = None


Entry = TypeVar("Entry", bound=Asking)


class Askings(Generic[Entry]):
    """An entry for each solver that something is asked about."""

    def __init__(self) -> None:
        """Nothing is known of any solver."""
        self._entries: dict[SolverKey, Entry] = {}

    def forget(self, key: SolverKey) -> None:
        """Drop what is known about a solver, and the question that is being asked."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.asking is not None:
            entry.asking.cancel()

    async def close(self) -> None:
        """Ask no more."""
        asking = [entry.asking for entry in self._entries.values() if entry.asking is not None]
        for key in list(self._entries):
            self.forget(key)
        await asyncio.gather(*asking, return_exceptions=True)
