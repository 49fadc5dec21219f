"""The PodDisruptionBudget and the autoscalers of a solver."""

from typing import Any

from mcq_operator.api import Manifest, MCQSolver, names
from mcq_operator.api.kinds import AUTOSCALER, DEPLOYMENT, DISRUPTION_BUDGET, SCALED_OBJECT

from .manifest import manifest

QUEUE_DEPTH = "mcq_queue_depth"
"""The service's metric of requests that wait in one replica."""


def disruption_budget(solver: MCQSolver) -> Manifest:
    """Return the disruption budget: a drain takes one replica at a time, unless the spec says how many must stay.

    `maxUnavailable: 1` holds for any number of replicas and never blocks the drain of a single replica.
    A replica that isn't ready may always be evicted: it serves no requests.
    """
    min_available = solver.spec.disruption.min_available
    # Replicas that share a single-node volume can't move one by one: none starts elsewhere before the last is gone.
    at_once = 1 if names.single_node_claim(solver) is None else "100%"
    bound: dict[str, Any] = (
        {"maxUnavailable": at_once} if min_available is None else {"minAvailable": min_available}
    )
    return manifest(
        DISRUPTION_BUDGET,
        solver,
        spec={
            "selector": {"matchLabels": names.selector_labels(solver)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            **bound,
        },
    )


def autoscaler(solver: MCQSolver) -> Manifest | None:
    """Return the HorizontalPodAutoscaler, or None if it is off. It reads queue depths from the custom metrics API."""
    options = solver.spec.autoscaling
    if not options.enabled or options.provider != "HPA":
        return None
    return manifest(
        AUTOSCALER,
        solver,
        spec={
            "scaleTargetRef": _target(solver),
            "minReplicas": options.min_replicas,
            "maxReplicas": options.max_replicas,
            "metrics": [
                {
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": QUEUE_DEPTH},
                        "target": {"type": "AverageValue", "averageValue": str(options.target_queue_depth)},
                    },
                }
            ],
            "behavior": _behavior(solver),
        },
    )


def scaled_object(solver: MCQSolver) -> Manifest | None:
    """Return KEDA's ScaledObject, or None if it is off. It reads the sum of the replicas' queues from Prometheus."""
    options = solver.spec.autoscaling
    if not options.enabled or options.provider != "KEDA":
        return None
    labels = f'namespace="{solver.namespace}",service="{solver.name}"'
    return manifest(
        SCALED_OBJECT,
        solver,
        spec={
            "scaleTargetRef": _target(solver),
            "minReplicaCount": options.min_replicas,
            "maxReplicaCount": options.max_replicas,
            "triggers": [
                {
                    "type": "prometheus",
                    "metricType": "AverageValue",
                    "metadata": {
                        "serverAddress": options.prometheus_address,
                        "query": f"sum({QUEUE_DEPTH}{{{labels}}})",
                        "threshold": str(options.target_queue_depth),
                        # No data means that replicas are not scraped: an error, not an empty queue.
                        "ignoreNullValues": "false",
                    },
                }
            ],
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(solver)}},
        },
    )


def _target(solver: MCQSolver) -> dict[str, str]:
    return {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind, "name": solver.name}


def _behavior(solver: MCQSolver) -> dict[str, Any]:
    return {"scaleDown": {"stabilizationWindowSeconds": solver.spec.autoscaling.scale_down_seconds}}
