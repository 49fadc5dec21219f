"""Retry a source that does not answer, with growing pauses; read Retry-After."""

from __future__ import annotations

import random
import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from mcq_service.model_store.errors import SourceUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0
LONGEST_RETRY_AFTER_SECONDS = 600.0
"""The longest pause that a source can ask for."""
_SLICE_SECONDS = 0.5
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")


def with_retries(
    attempt: Callable[[], T], *, attempts: int, progress: Callable[[], int], report: Callable[[str], None]
) -> T:
    """Call `attempt` until it succeeds, or fails `attempts` times in a row without `progress`; return its result.

    The pauses double each time and are random, so that replicas do not retry together; a source can set its own pause
    (Retry-After). `report` is called repeatedly during a pause; an error it raises ends the pause. Raises the last
    SourceUnreachable.
    """
    failures, most = 0, progress()
    while True:
        try:
            return attempt()
        except SourceUnreachable as error:
            # Some sources start over each time, so only a new maximum counts as progress.
            failures, most = (1 if (now := progress()) > most else failures + 1), max(most, now)
            if failures >= attempts:
                raise
            seconds = backoff_seconds(failures, error.retry_after)
            _pause(
                seconds,
                report,
                f"attempt {failures} of {attempts} failed, the next is in {seconds:.0f} s. {error}",
            )


def backoff_seconds(failures: int, retry_after: float | None) -> float:
    """Return the pause after this many failures; `retry_after` is the source's own, if any."""
    if retry_after is not None:
        # Spread the replicas over a second.
        return min(retry_after, LONGEST_RETRY_AFTER_SECONDS) + random.uniform(0, FIRST_SECONDS)
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** (failures - 1))
    return random.uniform(longest / 2, longest)


def retry_after(headers: Mapping[str, str], *, now: Callable[[], float] = time.time) -> float | None:
    """Return a server's Retry-After in seconds, from a number or a date (RFC 9110); None without one."""
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        # A date without a zone is UTC.
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now())
    except (ValueError, TypeError, OverflowError):
        return None


def _pause(seconds: float, report: Callable[[str], None], detail: str) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        report(detail)
        time.sleep(min(left, _SLICE_SECONDS))
