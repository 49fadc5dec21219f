"""Where Pods may run."""

from typing import Any

from mcq_operator.models import MCQSolver, names
from mcq_operator.models.scheduling import Scheduling, TopologySpread

HOST = "kubernetes.io/hostname"


def placement(scheduling: Scheduling) -> dict[str, Any]:
    """Return the fields of a Pod's spec that a user's scheduling means, but for the spread over nodes."""
    # The API server stores no empty text, so that one would look like a difference for ever.
    tolerations = [
        {
            name: value
            for name, value in each.model_dump(by_alias=True, exclude_none=True).items()
            if value != ""
        }
        for each in scheduling.tolerations or []
    ]
    return {
        "nodeSelector": scheduling.node_selector or None,
        "tolerations": tolerations or None,
        "affinity": scheduling.affinity or None,
        "priorityClassName": scheduling.priority_class_name,
        "runtimeClassName": scheduling.runtime_class_name,
    }


def of_replicas(solver: MCQSolver) -> dict[str, Any]:
    """Return where replicas run: spread over nodes, or on the one node that can mount their volume."""
    scheduling = solver.spec.scheduling
    made = placement(scheduling)
    if (claim := names.single_node_claim(solver)) is not None:
        made["affinity"] = _together(scheduling.affinity or {}, claim)
    selector = {"matchLabels": names.selector_labels(solver)}
    return {**made, "topologySpreadConstraints": _spread(scheduling.topology_spread, selector) or None}


def with_selector(scheduling: Scheduling, labels: dict[str, str]) -> dict[str, Any]:
    """Return where a Job's Pods run; they are spread only where a user says so."""
    spread = _spread(scheduling.topology_spread or [], {"matchLabels": labels}, by_revision=False)
    return {**placement(scheduling), "topologySpreadConstraints": spread or None}


def _together(affinity: dict[str, Any], claim: str) -> dict[str, Any]:
    """Add that a Pod runs on the node of the others that mount the claim; the first one chooses it."""
    term = {
        "labelSelector": {"matchLabels": {names.CLAIM_LABEL: names.claim_label(claim)}},
        "topologyKey": HOST,
    }
    pods = affinity.get("podAffinity", {})
    required = [*pods.get("requiredDuringSchedulingIgnoredDuringExecution", []), term]
    return {
        **affinity,
        "podAffinity": {**pods, "requiredDuringSchedulingIgnoredDuringExecution": required},
    }


def _spread(
    wanted: list[TopologySpread] | None, selector: dict[str, Any], *, by_revision: bool = True
) -> list[dict[str, Any]]:
    """Constraints over the Pods with the selector, by default over nodes, and of each revision by itself."""
    constraints = [TopologySpread(topology_key=HOST)] if wanted is None else wanted
    revision = {"matchLabelKeys": [names.POD_REVISION]} if by_revision else {}
    return [
        {**constraint.model_dump(by_alias=True), "labelSelector": selector, **revision}
        for constraint in constraints
    ]
