"""Reports of the store's progress."""

import time
from collections.abc import Callable
from enum import StrEnum


class Stage(StrEnum):
    """The stages of a preparation, as `/startupz` shows them."""

    FETCHING = "fetching"
    CONVERTING = "converting"


Progress = Callable[[Stage, float | None, str], None]
"""Called with the stage, the fraction done (0..1, None if unknown) and one line for a person.

Always called in the thread that called `Store.ensure`. An exception that it raises stops the work, and the next
`ensure` resumes it. A stopping service cancels its download this way.
"""


def no_progress(_stage: Stage, _fraction: float | None, _detail: str) -> None:
    """Report nothing."""


class ThrottledProgress:
    """Passes on a report if its stage or detail changed, and otherwise at most every `interval` seconds."""

    def __init__(
        self, report: Progress, *, interval: float = 0.2, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Report to `report`; `interval` is in seconds."""
        self._report = report
        self._interval = interval
        self._clock = clock
        self._last: tuple[Stage, str] | None = None
        self._at = 0.0

    def __call__(self, stage: Stage, fraction: float | None, detail: str) -> None:
        """Report, unless the last report was the same and recent."""
        now = self._clock()
        if (stage, detail) != self._last or now - self._at >= self._interval:
            self._last, self._at = (stage, detail), now
            self._report(stage, fraction, detail)
