"""Liveness: whether a restart of the process would help."""

from collections.abc import Callable


class Health:
    """The health of an operator that leads. One that waits for the lease is always healthy."""

    def __init__(self, *, stuck_seconds: float) -> None:
        """`stuck_seconds` is the time limit of one reconcile."""
        self._stuck = stuck_seconds
        self._longest: Callable[[], float] = lambda: 0.0

    def look_at(self, *, longest_reconcile: Callable[[], float]) -> None:
        """Check this function from now on."""
        self._longest = longest_reconcile

    def problem(self) -> str:
        """Return the problem; empty if there is none."""
        if (longest := self._longest()) > self._stuck:
            return f"a reconcile has not ended for {longest:.0f} s"
        return ""
