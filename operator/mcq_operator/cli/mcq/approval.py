"""`kubectl mcq promote`: approve the change that waits at a solver's gate, as docs/gates.md describes it."""

import sys
from datetime import datetime

from mcq_operator.api import API_VERSION, GateStatus, Manifest, MCQSolver, names
from mcq_operator.api.text import one_line
from mcq_operator.cli.terminal import write_error
from mcq_operator.status import gate as gates

from .errors import CommandError

FIELD_MANAGER = "kubectl-mcq"


def waiting_change(solver: MCQSolver) -> GateStatus:
    """Return the change that the gate holds. Raises CommandError if there is none, or the status is out of date."""
    gate = solver.status.gate
    if solver.status.observed_generation != solver.metadata.generation:
        message = f"the operator has not observed the last change of MCQSolver {solver.key} yet: try again"
        raise CommandError(message)
    if gate is None or not gates.holds(gate) or not gate.change:
        message = f"no change of MCQSolver {solver.key} waits at a gate"
        raise CommandError(message)
    return gate


def text(solver: MCQSolver, gate: GateStatus, *, user: str, reason: str | None, now: datetime) -> str:
    """Return the approval in the form that the admission policy demands. Raises CommandError if it was used before."""
    why = one_line(reason or f"approved at {now:%Y-%m-%dT%H:%M:%SZ}")
    approval = f"{gate.change} {user}: {why}"
    used = solver.status.override
    if used is not None and used.annotation == approval:
        message = "this approval was used before, and works once: give another --reason"
        raise CommandError(message)
    return approval


def confirm(solver: MCQSolver, gate: GateStatus, approval: str) -> None:
    """Show the change, and ask the user to confirm. Raises CommandError without a confirmation."""
    write_error(
        f"Change {gate.change} of MCQSolver {solver.key} has not passed its exam ({gate.phase}, {gate.reason}):\n"
        f"  {one_line(gate.message)}\n"
        f"It will reach users with this approval, which the status keeps:\n  {approval}"
    )
    if not sys.stdin.isatty():
        message = "there is no terminal to confirm on: use --yes"
        raise CommandError(message)
    sys.stderr.write("Approve? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        message = "not approved"
        raise CommandError(message)


def annotated(solver: MCQSolver, approval: str) -> Manifest:
    """Return the part of the solver to apply."""
    metadata = {
        "name": solver.name,
        "namespace": solver.namespace,
        # Without it, the apply would create a solver that was deleted meanwhile.
        "uid": solver.metadata.uid,
        "annotations": {names.PROMOTE_ANNOTATION: approval},
    }
    return {"apiVersion": API_VERSION, "kind": solver.KEY.KIND, "metadata": metadata}
