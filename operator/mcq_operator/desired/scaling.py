"""What keeps enough replicas running."""

from typing import Any

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.kinds import AUTOSCALER, DEPLOYMENT, DISRUPTION_BUDGET, SCALED_OBJECT

from .manifest import manifest

QUEUE_DEPTH = "mcq_queue_depth"
"""The service's metric: requests that wait in one replica."""


def disruption_budget(solver: MCQSolver) -> Manifest:
    """How many replicas a drain may take at once: one, unless the spec says how many must stay.

    `maxUnavailable: 1` follows every scaling by itself and never blocks the drain of a single replica.
    A replica that isn't ready may always be evicted: it serves nobody.
    """
    wanted = solver.spec.disruption.min_available
    # Replicas that only one node can have can't be moved one by one: none starts elsewhere before the last has gone.
    at_once = 1 if names.single_node_claim(solver) is None else "100%"
    bound: dict[str, Any] = {"maxUnavailable": at_once} if wanted is None else {"minAvailable": wanted}
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
    """The HorizontalPodAutoscaler, where it is wanted; it asks the custom metrics API for each replica's queue."""
    wanted = solver.spec.autoscaling
    if not wanted.enabled or wanted.provider != "HPA":
        return None
    return manifest(
        AUTOSCALER,
        solver,
        spec={
            "scaleTargetRef": _target(solver),
            "minReplicas": wanted.min_replicas,
            "maxReplicas": wanted.max_replicas,
            "metrics": [
                {
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": QUEUE_DEPTH},
                        "target": {"type": "AverageValue", "averageValue": str(wanted.target_queue_depth)},
                    },
                }
            ],
            "behavior": _behavior(solver),
        },
    )


def scaled_object(solver: MCQSolver) -> Manifest | None:
    """KEDA's ScaledObject, where it is wanted; it asks a Prometheus for the sum of the replicas' queues."""
    wanted = solver.spec.autoscaling
    if not wanted.enabled or wanted.provider != "KEDA":
        return None
    labels = f'namespace="{solver.namespace}",service="{solver.name}"'
    return manifest(
        SCALED_OBJECT,
        solver,
        spec={
            "scaleTargetRef": _target(solver),
            "minReplicaCount": wanted.min_replicas,
            "maxReplicaCount": wanted.max_replicas,
            "triggers": [
                {
                    "type": "prometheus",
                    "metricType": "AverageValue",
                    "metadata": {
                        "serverAddress": wanted.prometheus_address,
                        "query": f"sum({QUEUE_DEPTH}{{{labels}}})",
                        "threshold": str(wanted.target_queue_depth),
                        # Of replicas that nobody scrapes nothing is known: that is an error, and not an empty queue.
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
