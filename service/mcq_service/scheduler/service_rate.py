"""The rate at which a replica finishes the requests in its queue."""

from __future__ import annotations

import math
from collections import deque
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MEASURED_REQUESTS = 32
_MAX_RETRY_SECONDS = 60
_ASSUMED_SECONDS = 1.0  # of one request, for Retry-After before the first measured request


class ServiceRate:
    """The mean seconds between two finished requests while others wait.

    While no request waits, the time between two of them shows how often clients ask, not how fast the replica is.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start without a measured request; `clock` is in seconds."""
        self._clock = clock
        self._measured: deque[float] = deque(maxlen=_MEASURED_REQUESTS)
        self._since: float | None = None

    def ended(self, *, others_wait: bool) -> None:
        """Count a finished request; `others_wait` says whether requests wait for their turn now."""
        now = self._clock()
        if self._since is not None and others_wait:
            self._measured.append(now - self._since)
        self._since = now if others_wait else None

    def wait_seconds(self, waiting: int) -> float:
        """Return the seconds until `waiting` requests should be finished; 0 if nothing was measured yet."""
        return fmean(self._measured) * waiting if self._measured else 0.0

    def retry_after(self, waiting: int) -> int:
        """Return the whole seconds until half of `waiting` requests should be finished, 1 to 60."""
        seconds = self.wait_seconds(waiting) or _ASSUMED_SECONDS * waiting
        return min(_MAX_RETRY_SECONDS, max(1, math.ceil(seconds / 2)))
