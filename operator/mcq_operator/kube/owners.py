"""Whose an object is: what is someone else's is never touched."""

from collections.abc import Mapping
from typing import Any

from mcq_operator.models import API_VERSION, Manifest, MCQSolver, SolverKey, names
from mcq_operator.models.base import SOLVER_KIND


def owned(live: Manifest, solver: MCQSolver) -> bool:
    """Whether the solver is the object's controller."""
    return any(
        reference.get("controller") and reference["uid"] == solver.metadata.uid
        for reference in live["metadata"].get("ownerReferences", [])
    )


def orphaned(live: Manifest, solver: MCQSolver) -> bool:
    """Whether the object was made for a solver of this name and has no controller any more.

    So it is after `kubectl delete --cascade=orphan`, or when someone removed the owner reference.
    """
    metadata = live["metadata"]
    controlled = any(reference.get("controller") for reference in metadata.get("ownerReferences", []))
    found = metadata.get("labels", {})
    wanted = names.labels(solver)
    marks = (names.MANAGED_BY_LABEL, names.INSTANCE_LABEL)
    return not controlled and all(found.get(mark) == wanted[mark] for mark in marks)


def owner(meta: Mapping[str, Any]) -> SolverKey | None:
    """The solver that an object belongs to: its controller, or for a Pod the one its label names."""
    for reference in meta.get("ownerReferences", []):
        if reference["kind"] == SOLVER_KIND and reference["apiVersion"] == API_VERSION:
            return SolverKey(meta["namespace"], reference["name"])
    instance = meta.get("labels", {}).get(names.INSTANCE_LABEL)
    return SolverKey(meta["namespace"], instance) if instance else None
