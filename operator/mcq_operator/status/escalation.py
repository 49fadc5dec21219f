"""The EscalationReady condition: whether another solver can be asked instead of abstaining."""

from mcq_operator.api import MCQSolver
from mcq_operator.api.observed import ObservedSolver

from .finding import Finding

TYPE = "EscalationReady"


def finding(solver: MCQSolver, observed: ObservedSolver) -> Finding | None:
    """Return the condition, if the spec names another solver."""
    target = solver.spec.answering.escalate_to
    if target is None:
        return None
    name = target.solver_ref.name

    def false(reason: str, message: str) -> Finding:
        return Finding(TYPE, "False", reason, f"{message} Until then, replicas abstain.")

    if name == solver.name:
        message = "spec.answering.escalateTo names this solver itself: name another one, or remove it."
        return false("SameSolver", message)
    if observed.escalation is None:
        message = (
            f"There is no MCQSolver {name} in namespace {solver.namespace}: create it, or correct the name."
        )
        return false("SolverNotFound", message)
    if not observed.escalation.is_true("Available"):
        return false(
            "SolverNotAvailable", f"MCQSolver {name} answers no questions; its Available condition says why."
        )
    return Finding(TYPE, "True", "SolverAvailable", f"Replicas ask MCQSolver {name} instead of abstaining.")
