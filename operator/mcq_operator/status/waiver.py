"""What lets a change through that has not passed its gate, and the record of it.

A person may approve the change by its digest, or remove or loosen the gate with it. All of that is allowed, and
recorded.
"""

from datetime import datetime

from mcq_operator.models import GateStatus, MCQSolver, Override, names
from mcq_operator.models.scaling import Gate
from mcq_operator.models.status import GateTerms

from .dating import stamp
from .failures import quoted

REMOVED = "GateRemoved"
LOOSENED = "GateLoosened"


def approval(solver: MCQSolver, gate: GateStatus) -> str | None:
    """Return what the annotation says, if it names this change and has not let one through before."""
    said = solver.metadata.annotations.get(names.PROMOTE_ANNOTATION, "")
    used = solver.status.override
    names_it = gate.change != "" and said.startswith(f"{gate.change} ")
    return said if names_it and (used is None or used.annotation != said) else None


def unheeded(solver: MCQSolver, gate: GateStatus) -> str:
    """Say that the annotation does nothing for this change; empty if there is no annotation."""
    said = solver.metadata.annotations.get(names.PROMOTE_ANNOTATION)
    if not said or approval(solver, gate) is not None:
        return ""
    return (
        f" The annotation {names.PROMOTE_ANNOTATION} does nothing: it does not name this change, {gate.change}, or has"
        f" let it through before. It says: {quoted(said)}"
    )


def ungated(solver: MCQSolver, change: str, *, unchanged: bool) -> GateStatus | None:
    """Return the last change of a solver without a gate that its gate did not see, because it was removed."""
    told, last = solver.status.gate, solver.status.last_gate
    if unchanged:
        return told if told and told.reason == REMOVED else None
    if last is None:
        return None
    message = (
        f"This change sat no exam: spec.rollout.gate, which asked for MCQExam {last.exam}, was removed with it or"
        " before it. status.override keeps this."
    )
    return GateStatus(
        candidate=change,
        change=change,
        generation=solver.metadata.generation,
        phase="Overridden",
        replica_set="",
        template_digest=solver.status.template_digest,
        reason=REMOVED,
        message=message,
    )


def last(solver: MCQSolver, change: str, *, held: bool) -> GateTerms | None:
    """Return what the gate asks of the next change, to compare with the gate that comes with it.

    It stays while a change is `held`, and if the gate is removed or loosened while nothing else changes.
    """
    asked, before = solver.spec.rollout.gate, solver.status.last_gate
    alone = change == solver.status.promoted and (asked is None or loosened(solver) != "")
    if before is not None and (held or alone):
        return before
    return _terms(asked) if asked else None


def _terms(gate: Gate) -> GateTerms:
    return GateTerms(
        exam=gate.exam_ref.name,
        min_accuracy=gate.min_accuracy,
        max_regression=gate.max_regression,
        max_calibration_error=gate.max_calibration_error,
    )


def loosened(solver: MCQSolver) -> str:
    """Say where the spec's gate asks less than the one before it; empty if nowhere."""
    asked, before = solver.spec.rollout.gate, solver.status.last_gate
    if asked is None or before is None:
        return ""
    now = _terms(asked)
    said = [f"examRef {before.exam}, now {now.exam}"] if now.exam != before.exam else []
    for name, least, then, here in (
        ("minAccuracy", True, before.min_accuracy, now.min_accuracy),
        ("maxRegression", False, before.max_regression, now.max_regression),
        ("maxCalibrationError", False, before.max_calibration_error, now.max_calibration_error),
    ):
        if then is not None and (here is None or (here < then if least else here > then)):
            said.append(f"{name} {then:g}, now {'none' if here is None else f'{here:g}'}")
    return "; ".join(said)


def override(solver: MCQSolver, gate: GateStatus | None, *, now: datetime) -> Override | None:
    """Return the record of the last change that was let through."""
    if gate is None or gate.phase != "Overridden" or gate == solver.status.gate:
        return solver.status.override
    return Override(
        annotation=approval(solver, gate) or "",
        candidate=gate.candidate,
        change=gate.change,
        reason=gate.reason,
        gate=solver.status.last_gate,
        time=stamp(now),
    )
