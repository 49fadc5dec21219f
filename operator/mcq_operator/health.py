"""Whether a restart of the process would help."""

from collections.abc import Callable


class Health:
    """What can be wrong with an operator that leads; one that waits for the lease is well."""

    def __init__(self, *, stale_seconds: float, stuck_seconds: float) -> None:
        """Set up.

        Args:
            stale_seconds: for how long a watch may have missed events.
            stuck_seconds: how long one reconcile may take.

        """
        self._stale = stale_seconds
        self._stuck = stuck_seconds
        self._age: Callable[[], float] = lambda: 0.0
        self._longest: Callable[[], float] = lambda: 0.0

    def look_at(self, *, watch_age: Callable[[], float], longest_reconcile: Callable[[], float]) -> None:
        """Ask these from now on."""
        self._age, self._longest = watch_age, longest_reconcile

    def problem(self) -> str:
        """What is wrong; nothing where all is well."""
        if (age := self._age()) > self._stale:
            return f"a watch has missed events for {age:.0f} s"
        if (longest := self._longest()) > self._stuck:
            return f"a reconcile has not ended for {longest:.0f} s"
        return ""
