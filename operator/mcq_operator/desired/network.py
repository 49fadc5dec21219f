"""How questions reach the replicas."""

from typing import Any

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.kinds import INGRESS, SERVICE

from .manifest import manifest


def service(solver: MCQSolver) -> Manifest:
    """The stable address of a solver's ready replicas."""
    return manifest(
        SERVICE,
        solver,
        spec={
            "selector": names.selector_labels(solver),
            "ports": [{"name": "http", "port": names.SERVICE_PORT, "protocol": "TCP", "targetPort": "http"}],
        },
    )


def ingress(solver: MCQSolver) -> Manifest | None:
    """The way in from outside the cluster, where it is wanted."""
    wanted = solver.spec.ingress
    if not wanted.enabled:
        return None
    backend = {"service": {"name": solver.name, "port": {"name": "http"}}}
    spec: dict[str, Any] = {
        "ingressClassName": wanted.class_name,
        "rules": [
            {
                "host": wanted.host,
                "http": {"paths": [{"path": wanted.path, "pathType": "Prefix", "backend": backend}]},
            }
        ],
    }
    if wanted.tls_secret_name:
        spec["tls"] = [{"hosts": [wanted.host], "secretName": wanted.tls_secret_name}]
    return manifest(INGRESS, solver, annotations=dict(wanted.annotations or {}), spec=spec)
