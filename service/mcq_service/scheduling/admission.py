"""How many requests may wait, and how long a refused client should."""

from __future__ import annotations

import math

_WEIGHT = 0.2  # of the newest request in the moving average
_MAX_RETRY_SECONDS = 60


class ServiceRate:
    """Seconds of the model's time that a request takes: a moving average of those that were served."""

    def __init__(self, initial: float = 1.0) -> None:
        """`initial` seconds are assumed before the first request."""
        self._seconds = initial

    def observe(self, seconds: float) -> None:
        """A request took this much of the model's time."""
        self._seconds += _WEIGHT * (seconds - self._seconds)

    def retry_after(self, waiting: int) -> int:
        """Whole seconds until a place should be free when `waiting` requests are before it: half the queue's time."""
        return min(_MAX_RETRY_SECONDS, max(1, math.ceil(self._seconds * waiting / 2)))
