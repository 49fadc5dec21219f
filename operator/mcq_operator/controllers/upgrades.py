"""The order in which solvers get a new release of the operator: a few at a time, and none with the pause annotation.

A new release replaces the replicas of each solver without an image of its own. All at once, these roll-outs would
start as many Pods and fetch as many models, and a broken release would stop every solver.
"""

from collections.abc import Callable

from mcq_operator.api import MCQSolver, SolverKey, SolverStatus
from mcq_operator.api.names import PAUSE_UPGRADE
from mcq_operator.status.gate import holds


class Upgrades:
    """The solvers that roll out now, and those that wait. A roll-out for any other reason counts, too."""

    def __init__(self, *, release: str, at_once: int, requeue: Callable[[SolverKey], None]) -> None:
        """Upgrade `at_once` solvers to `release` at a time, 0: all; call `requeue` for each solver in turn."""
        self.release = release
        self._at_once = at_once
        self._requeue = requeue
        self._rolling: set[SolverKey] = set()
        self._waiting: dict[SolverKey, None] = {}

    def hold_reason(self, solver: MCQSolver, *, digest: str) -> str:
        """Return why a solver keeps the replicas of an earlier release for now; empty if it does not.

        `digest` identifies the replicas that the spec asks for. A changed spec is rolled out at once. So is a gate's
        candidate, because the gate decides about replicas of this release.
        """
        status = solver.status
        spec_changed = status.observed_generation != solver.metadata.generation
        if (
            solver.parent is not None
            or not status.template_digest
            or spec_changed
            or status.release == self.release
            or status.template_digest == digest
        ):
            return ""
        if status.rollback is not None or _gate_decides(status):
            return ""
        if solver.metadata.annotations.get(PAUSE_UPGRADE) == "true":
            return (
                "The operator has a newer release of the replicas. The annotation"
                f" {PAUSE_UPGRADE} keeps the previous release's replicas."
            )
        if self._at_once == 0 or solver.key in self._rolling or len(self._rolling) < self._at_once:
            self._rolling.add(solver.key)
            return ""
        self._waiting[solver.key] = None
        return (
            "The operator has a newer release of the replicas. It upgrades"
            f" {self._at_once} solver(s) at a time, and this one waits for its turn."
        )

    def record(self, key: SolverKey, *, rolling: bool) -> None:
        """Record whether a solver's replicas of this release roll out; requeue waiting solvers if there is room."""
        if rolling:
            self._rolling.add(key)
        else:
            self._rolling.discard(key)
        for waiting in [*self._waiting][: max(0, self._at_once - len(self._rolling))]:
            del self._waiting[waiting]
            self._requeue(waiting)

    def forget(self, key: SolverKey) -> None:
        """Drop a solver that is gone."""
        self._waiting.pop(key, None)
        self.record(key, rolling=False)


def _gate_decides(status: SolverStatus) -> bool:
    """Return whether a gate has not decided about a change yet, or its decision has not been carried out."""
    gate = status.gate
    return gate is not None and (
        gate.phase in {"Waiting", "Sitting"}
        or (not holds(gate) and gate.template_digest == status.template_digest)
    )
