"""Where Pods may run."""

from typing import Any

from mcq_operator.api import MCQSolver, names
from mcq_operator.api.scheduling import Scheduling, TopologySpread

HOST = "kubernetes.io/hostname"


def placement(scheduling: Scheduling) -> dict[str, Any]:
    """Return the fields of a Pod's spec for a user's scheduling, except the topology spread."""
    # The API server drops empty strings, so one would differ from the stored object for ever.
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


def replica_placement(solver: MCQSolver) -> dict[str, Any]:
    """Return the placement of replicas: spread over nodes, or on the one node that can mount their volume."""
    scheduling = solver.spec.scheduling
    fields = placement(scheduling)
    if (claim := names.single_node_claim(solver)) is not None:
        fields["affinity"] = _with_claim_affinity(scheduling.affinity or {}, claim)
    selector = {"matchLabels": names.selector_labels(solver)}
    return {**fields, "topologySpreadConstraints": _spread(scheduling.topology_spread, selector) or None}


def job_placement(scheduling: Scheduling, labels: dict[str, str]) -> dict[str, Any]:
    """Return the placement of a Job's Pods; they spread only if the user says so."""
    spread = _spread(scheduling.topology_spread or [], {"matchLabels": labels}, by_revision=False)
    return {**placement(scheduling), "topologySpreadConstraints": spread or None}


def _with_claim_affinity(affinity: dict[str, Any], claim: str) -> dict[str, Any]:
    """Add an affinity to the node of the other Pods that mount the claim; the first Pod chooses the node."""
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
    spread: list[TopologySpread] | None, selector: dict[str, Any], *, by_revision: bool = True
) -> list[dict[str, Any]]:
    """Return the constraints for the selected Pods: by default over nodes, and for each revision separately."""
    constraints = [TopologySpread(topology_key=HOST)] if spread is None else spread
    revision = {"matchLabelKeys": [names.POD_REVISION]} if by_revision else {}
    return [
        {**constraint.model_dump(by_alias=True), "labelSelector": selector, **revision}
        for constraint in constraints
    ]
