"""The replicas: a Deployment that never has fewer than wanted, and the identity it runs under."""

from typing import Any

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.kinds import DEPLOYMENT, SERVICE_ACCOUNT
from mcq_operator.models.scheduling import TopologySpread

from .config import drain_seconds, environment
from .manifest import digest, manifest
from .storage import volumes

USER = 65532

STARTUP_SECONDS = 1800
"""How long a replica may take to fetch, convert and load its model: gigabytes, the first time."""
STARTUP_PERIOD = 5
STARTUP_FAILURES = STARTUP_SECONDS // STARTUP_PERIOD
PRE_STOP_SECONDS = 5
"""Time for load balancers to notice that a stopping replica is no endpoint any more."""
EXIT_SECONDS = 5
"""Time for the process to end after its drain."""


def service_account(solver: MCQSolver) -> Manifest:
    """An identity with no permissions and no mounted token: replicas never talk to the API server."""
    return manifest(SERVICE_ACCOUNT, solver, automountServiceAccountToken=False)


def deployment(solver: MCQSolver, *, service_image: str) -> Manifest:
    """The replicas. `service_image` is used where the spec names none."""
    return manifest(
        DEPLOYMENT,
        solver,
        spec={
            "replicas": solver.spec.replicas,
            "selector": {"matchLabels": names.selector_labels(solver)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "progressDeadlineSeconds": STARTUP_SECONDS + 300,
            "revisionHistoryLimit": 3,
            "template": {
                "metadata": {
                    "labels": names.labels(solver),
                    "annotations": {names.CONFIG_DIGEST: digest(environment(solver))},
                },
                "spec": _pod(solver, service_image=service_image),
            },
        },
    )


def _pod(solver: MCQSolver, *, service_image: str) -> dict[str, Any]:
    spec = solver.spec
    secrets = [{"name": secret.name} for secret in spec.image_pull_secrets or []]
    return {
        "serviceAccountName": solver.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "imagePullSecrets": secrets or None,
        "terminationGracePeriodSeconds": PRE_STOP_SECONDS + drain_seconds(solver) + EXIT_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(solver, service_image=service_image)],
        "volumes": [{"name": volume.name, **volume.source} for volume in volumes(solver)],
        **_placement(solver),
    }


def _container(solver: MCQSolver, *, service_image: str) -> dict[str, Any]:
    spec = solver.spec
    return {
        "name": "service",
        "image": spec.image or service_image,
        "imagePullPolicy": spec.image_pull_policy,
        "envFrom": [{"configMapRef": {"name": names.config_name(solver)}}],
        "ports": [{"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"}],
        "resources": spec.resources.model_dump(by_alias=True, exclude_none=True),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            # Secrets are mounted read-only whatever is said; a cache and /tmp are written to.
            {"name": volume.name, "mountPath": volume.path}
            for volume in volumes(solver)
        ],
        "startupProbe": _probe("/startupz", period=STARTUP_PERIOD, failures=STARTUP_FAILURES),
        "readinessProbe": _probe("/readyz", period=5, failures=2),
        "livenessProbe": _probe("/livez", period=10, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        # The log's last lines become the termination message, which the solver's conditions show.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _placement(solver: MCQSolver) -> dict[str, Any]:
    scheduling = solver.spec.scheduling
    tolerations = [
        toleration.model_dump(by_alias=True, exclude_none=True) for toleration in scheduling.tolerations or []
    ]
    return {
        "nodeSelector": scheduling.node_selector or None,
        "tolerations": tolerations or None,
        "affinity": scheduling.affinity or None,
        "topologySpreadConstraints": _spread(solver) or None,
        "priorityClassName": scheduling.priority_class_name,
        "runtimeClassName": scheduling.runtime_class_name,
    }


def _spread(solver: MCQSolver) -> list[dict[str, Any]]:
    """Constraints over this solver's own replicas, those of each revision by themselves."""
    wanted = solver.spec.scheduling.topology_spread
    if wanted is None:
        wanted = [TopologySpread(topology_key="kubernetes.io/hostname")]
    constraints = [constraint.model_dump(by_alias=True) for constraint in wanted]
    return [
        {
            **constraint,
            "labelSelector": {"matchLabels": names.selector_labels(solver)},
            "matchLabelKeys": ["pod-template-hash"],
        }
        for constraint in constraints
    ]
