"""Whether a restart of the process would help."""

from collections.abc import Callable


class Health:
    """What can be wrong with an operator that leads; one that waits for the lease is well."""

    def __init__(self, *, stuck_seconds: float) -> None:
        """`stuck_seconds` is how long one reconcile may take."""
        self._stuck = stuck_seconds
        self._longest: Callable[[], float] = lambda: 0.0

    def look_at(self, *, longest_reconcile: Callable[[], float]) -> None:
        """Ask this from now on."""
        self._longest = longest_reconcile

    def problem(self) -> str:
        """What is wrong; nothing where all is well."""
        if (longest := self._longest()) > self._stuck:
            return f"a reconcile has not ended for {longest:.0f} s"
        return ""
