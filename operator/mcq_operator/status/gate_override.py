"""A gate's override: a change goes through without passing its exam, and the status records how.

A person may approve the change by its digest, remove or loosen the gate together with the change, or go back from a
change whose replicas don't answer. The operator allows and records it.
"""

from datetime import datetime

from mcq_operator.api import GateStatus, MCQSolver, Override, names
from mcq_operator.api.gate_status import GateTerms
from mcq_operator.api.scaling import Gate

from .finding import quoted
from .transitions import stamp

REMOVED = "GateRemoved"
LOOSENED = "GateLoosened"
CHANGED_BACK = "ChangedBack"


def approval(solver: MCQSolver, gate: GateStatus) -> str | None:
    """Return the annotation's text, if it names this change and did not let one through before."""
    text = solver.metadata.annotations.get(names.PROMOTE_ANNOTATION, "")
    used = solver.status.override
    matches = gate.change != "" and text.startswith(f"{gate.change} ")
    return text if matches and (used is None or used.annotation != text) else None


def unused_annotation(solver: MCQSolver, gate: GateStatus) -> str:
    """Return a message if the annotation has no effect on this change; empty if there is no annotation."""
    text = solver.metadata.annotations.get(names.PROMOTE_ANNOTATION)
    if not text or approval(solver, gate) is not None:
        return ""
    return (
        f" The annotation {names.PROMOTE_ANNOTATION} has no effect: it does not name this change, {gate.change}, or"
        f" was already used for it. It says: {quoted(text)}"
    )


def ungated_change(solver: MCQSolver, change: str, *, unchanged: bool) -> GateStatus | None:
    """Return the last change of a solver without a gate, if a gate was removed before the change passed it."""
    recorded, last = solver.status.gate, solver.status.last_gate
    if unchanged:
        return recorded if recorded and recorded.reason == REMOVED else None
    if last is None:
        return None
    message = (
        f"This change took no exam: spec.rollout.gate, which named MCQExam {last.exam}, was removed with the change or"
        " before it. status.override records this."
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


def last_terms(solver: MCQSolver, change: str, *, holds: bool) -> GateTerms | None:
    """Return the gate's terms; the next change's gate is compared with them.

    They stay while the gate `holds` a change, and if the gate is removed or loosened while nothing else changes.
    """
    gate, recorded = solver.spec.rollout.gate, solver.status.last_gate
    only_gate_changed = change == solver.status.promoted and (gate is None or loosened(solver) != "")
    if recorded is not None and (holds or only_gate_changed):
        return recorded
    return _terms(gate) if gate else None


def _terms(gate: Gate) -> GateTerms:
    return GateTerms(
        exam=gate.exam_ref.name,
        min_accuracy=gate.min_accuracy,
        max_regression=gate.max_regression,
        max_calibration_error=gate.max_calibration_error,
    )


def loosened(solver: MCQSolver) -> str:
    """Describe the terms of the spec's gate that are looser than those of the gate before it; empty if none is."""
    gate, recorded = solver.spec.rollout.gate, solver.status.last_gate
    if gate is None or recorded is None:
        return ""
    terms = _terms(gate)
    changes = [f"examRef {recorded.exam}, now {terms.exam}"] if terms.exam != recorded.exam else []
    for name, is_minimum, old, new in (
        ("minAccuracy", True, recorded.min_accuracy, terms.min_accuracy),
        ("maxRegression", False, recorded.max_regression, terms.max_regression),
        ("maxCalibrationError", False, recorded.max_calibration_error, terms.max_calibration_error),
    ):
        if old is not None and (new is None or (new < old if is_minimum else new > old)):
            changes.append(f"{name} {old:g}, now {'none' if new is None else f'{new:g}'}")
    return "; ".join(changes)


def override(solver: MCQSolver, gate: GateStatus | None, *, now: datetime) -> Override | None:
    """Return the record of the last change that got through without passing."""
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
