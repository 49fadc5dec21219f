"""Names, labels and ports that the objects of one solver agree on."""

from .base import GROUP
from .kinds import SOLVER, Kind
from .solver import MCQSolver

NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
OPERATOR_NAME = "mcq-operator"
POD_REVISION = "pod-template-hash"
"""Kubernetes' own label, by which Pods and ReplicaSets of one template are told from those of another."""
MANAGED_SELECTOR = f"{MANAGED_BY_LABEL}={OPERATOR_NAME}"
APPLIED_DIGEST = f"{GROUP}/applied-digest"

RUNBOOKS = f"https://{GROUP}/docs/operations"
"""Where each alert has its page: docs/operations/<alert>.md."""

HTTP_PORT = 8000
SERVICE_PORT = 80


def cache_name(solver: MCQSolver) -> str:
    """The claim that is made for the model cache."""
    return f"{solver.name}-model-cache"


def dashboards_name(solver: MCQSolver) -> str:
    """The ConfigMap of its dashboards."""
    return f"{solver.name}-dashboards"


def selector_labels(solver: MCQSolver) -> dict[str, str]:
    """The labels that find a solver's Pods. A Deployment's selector can't change: neither may these."""
    return {NAME_LABEL: "mcq-solver", INSTANCE_LABEL: solver.name}


def labels(solver: MCQSolver) -> dict[str, str]:
    """The labels of everything that is made for a solver."""
    return {
        **selector_labels(solver),
        "app.kubernetes.io/component": "inference",
        MANAGED_BY_LABEL: OPERATOR_NAME,
    }


def selector(solver: MCQSolver) -> str:
    """The Pods' label selector in the API's query form."""
    return ",".join(f"{key}={value}" for key, value in selector_labels(solver).items())


def watch_selector(kind: Kind) -> str | None:
    """The label selector by which the server filters what is watched of a kind; None: all of it is."""
    return None if kind is SOLVER else MANAGED_SELECTOR


def url(solver: MCQSolver) -> str:
    """Where a client asks: through Ingress or Gateway, or the Service from inside the cluster."""
    ingress, gateway = solver.spec.ingress, solver.spec.gateway
    if ingress.enabled:
        scheme = "https" if ingress.tls_secret_name else "http"
        return f"{scheme}://{ingress.host}{ingress.path.rstrip('/')}"
    if gateway.enabled and gateway.hostnames:
        # Whether its listener has a certificate is the Gateway's, which is not ours to read.
        return f"http://{gateway.hostnames[0]}{gateway.path.rstrip('/')}"
    return f"http://{solver.name}.{solver.namespace}.svc"
