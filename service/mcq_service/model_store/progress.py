"""How a long preparation says where it is."""

import time
from collections.abc import Callable
from enum import StrEnum


class Stage(StrEnum):
    """What is being done: the words `/startupz` shows."""

    FETCHING = "fetching"
    CONVERTING = "converting"


Progress = Callable[[Stage, float | None, str], None]
"""Called with the stage, the fraction done (0..1, None where unknown) and one line for a person.

Always called from the thread that called `Store.ensure`. An exception it raises stops the work, which the
next `ensure` resumes: that is how a service that is told to stop cancels a download.
"""


def silent(_stage: Stage, _fraction: float | None, _detail: str) -> None:
    """A progress that says nothing."""


class Throttled:
    """Passes on a report when its stage or detail changes, and at most every `interval` seconds otherwise."""

    def __init__(
        self, report: Progress, *, interval: float = 0.2, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Report to `report`; `interval` is in seconds."""
        self._report = report
        self._interval = interval
        self._clock = clock
        self._said: tuple[Stage, str] | None = None
        self._at = 0.0

    def __call__(self, stage: Stage, fraction: float | None, detail: str) -> None:
        """Report, unless the same was said a moment ago."""
        now = self._clock()
        if (stage, detail) != self._said or now - self._at >= self._interval:
            self._said, self._at = (stage, detail), now
            self._report(stage, fraction, detail)
