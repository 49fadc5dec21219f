"""Names, labels and ports that the objects of one solver agree on."""

from .base import GROUP
from .solver import MCQSolver

NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_SELECTOR = f"{MANAGED_BY_LABEL}=mcq-operator"
APPLIED_DIGEST = f"{GROUP}/applied-digest"
CONFIG_DIGEST = f"{GROUP}/config-digest"

HTTP_PORT = 8000
SERVICE_PORT = 80


def config_name(solver: MCQSolver) -> str:
    """The ConfigMap with the service's settings."""
    return f"{solver.name}-config"


def cache_name(solver: MCQSolver) -> str:
    """The claim that is made for the model cache."""
    return f"{solver.name}-model-cache"


def selector_labels(solver: MCQSolver) -> dict[str, str]:
    """The labels that find a solver's Pods. A Deployment's selector can't change: neither may these."""
    return {NAME_LABEL: "mcq-solver", INSTANCE_LABEL: solver.name}


def labels(solver: MCQSolver) -> dict[str, str]:
    """The labels of everything that is made for a solver."""
    return {
        **selector_labels(solver),
        "app.kubernetes.io/component": "inference",
        MANAGED_BY_LABEL: "mcq-operator",
    }


def selector(solver: MCQSolver) -> str:
    """The Pods' label selector in the API's query form."""
    return ",".join(f"{key}={value}" for key, value in selector_labels(solver).items())


def url(solver: MCQSolver) -> str:
    """Where a client asks: through the Ingress, or the Service from inside the cluster."""
    ingress = solver.spec.ingress
    if not ingress.enabled:
        return f"http://{solver.name}.{solver.namespace}.svc"
    scheme = "https" if ingress.tls_secret_name else "http"
    return f"{scheme}://{ingress.host}{ingress.path.rstrip('/')}"
