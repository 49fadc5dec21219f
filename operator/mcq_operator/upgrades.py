"""The order in which solvers take up a new release of the operator: a few at a time, and none that is paused.

A new release means other replicas for each solver that names no image of its own. Rolling all of them out at once
would start as many Pods and fetch as many models; one that does not start would take every solver with it.
"""

from collections.abc import Callable

from mcq_operator.models import MCQSolver, SolverKey
from mcq_operator.models.names import PAUSE_UPGRADE


class Upgrades:
    """The solvers that roll out now, and those that wait. A roll-out for any other reason counts as well."""

    def __init__(self, *, release: str, at_once: int, wake: Callable[[SolverKey], None]) -> None:
        """Let `at_once` solvers take up `release` at a time, 0: all; call `wake` with each whose turn comes."""
        self.release = release
        self._at_once = at_once
        self._wake = wake
        self._rolling: set[SolverKey] = set()
        self._waiting: dict[SolverKey, None] = {}

    def held(self, solver: MCQSolver, *, digest: str) -> str:
        """Return why a solver keeps the replicas of an earlier release for now; empty if it does not.

        `digest` is that of the replicas that the spec means now. A changed spec is rolled out at once.
        """
        told = solver.status
        asked = told.observed_generation != solver.metadata.generation
        if (
            not told.template_digest
            or asked
            or told.release == self.release
            or told.template_digest == digest
        ):
            return ""
        if told.rollback is not None or (told.gate is not None and told.gate.phase in {"Waiting", "Sitting"}):
            return ""
        if solver.metadata.annotations.get(PAUSE_UPGRADE) == "true":
            return (
                "The operator has a newer release of the replicas. The annotation"
                f" {PAUSE_UPGRADE} keeps those of the release before."
            )
        if self._at_once == 0 or solver.key in self._rolling or len(self._rolling) < self._at_once:
            self._rolling.add(solver.key)
            return ""
        self._waiting[solver.key] = None
        return (
            "The operator has a newer release of the replicas. It replaces those of"
            f" {self._at_once} solver(s) at a time, and this one waits for its turn."
        )

    def note(self, key: SolverKey, *, rolling: bool) -> None:
        """Take in whether a solver's replicas of this release are on their way; if there is room, wake others."""
        if rolling:
            self._rolling.add(key)
        else:
            self._rolling.discard(key)
        for waiting in [*self._waiting][: max(0, self._at_once - len(self._rolling))]:
            del self._waiting[waiting]
            self._wake(waiting)

    def forget(self, key: SolverKey) -> None:
        """Drop a solver that is gone."""
        self._waiting.pop(key, None)
        self.note(key, rolling=False)
