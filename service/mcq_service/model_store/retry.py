"""How often a source that does not answer is asked again, and how long is waited in between."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, TypeVar

from mcq_service.model_store.errors import SourceUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0
LONGEST_ASKED_SECONDS = 600.0
"""Waited at most, where the source says itself how long."""
_SLICE_SECONDS = 0.5


def persist(
    attempt: Callable[[], T], *, attempts: int, progress: Callable[[], int], report: Callable[[str], None]
) -> T:
    """What `attempt` returns, which is called up to `attempts` times as long as `progress` stays where it is.

    In between it is waited, twice as long each time and never equally long for two replicas, or as long as the source
    asks for (Retry-After). `report` hears of it, again and again; what it raises ends the wait. Raises the last
    SourceUnreachable.
    """
    failures, had = 0, progress()
    while True:
        try:
            return attempt()
        except SourceUnreachable as error:
            # Of a source that begins anew each time, only what is more than ever before counts.
            failures, had = (1 if (have := progress()) > had else failures + 1), max(had, have)
            if failures >= attempts:
                raise
            seconds = wait_seconds(failures, error.retry_after)
            _pause(
                seconds,
                report,
                f"attempt {failures} of {attempts} failed, the next is in {seconds:.0f} s. {error}",
            )


def wait_seconds(failures: int, asked: float | None) -> float:
    """How long to wait after so many failures, with what the source asked for."""
    if asked is not None:
        # Not all at the very moment that was named.
        return min(asked, LONGEST_ASKED_SECONDS) + random.uniform(0, FIRST_SECONDS)  # noqa: S311
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** (failures - 1))
    return random.uniform(longest / 2, longest)  # noqa: S311


def _pause(seconds: float, report: Callable[[str], None], detail: str) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        report(detail)
        time.sleep(min(left, _SLICE_SECONDS))
