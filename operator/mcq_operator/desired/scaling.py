"""What keeps enough replicas running."""

from typing import Any

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.kinds import DISRUPTION_BUDGET

from .manifest import manifest


def disruption_budget(solver: MCQSolver) -> Manifest:
    """How many replicas a drain may take at once: one, unless the spec says how many must stay.

    `maxUnavailable: 1` follows every scaling by itself and never blocks the drain of a single replica.
    A replica that isn't ready may always be evicted: it serves nobody.
    """
    wanted = solver.spec.disruption.min_available
    bound: dict[str, Any] = {"maxUnavailable": 1} if wanted is None else {"minAvailable": wanted}
    return manifest(
        DISRUPTION_BUDGET,
        solver,
        spec={
            "selector": {"matchLabels": names.selector_labels(solver)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            **bound,
        },
    )
