"""The replicas: a Deployment that never has fewer than wanted, and the identity it runs under."""

import math
from collections.abc import Collection
from typing import Any

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.kinds import DEPLOYMENT, SCALED_OBJECT, SERVICE_ACCOUNT, Kind
from mcq_operator.models.quantity import quantity
from mcq_operator.models.replica import REPLICA_RESOURCES

from .config import drain_seconds, environment
from .manifest import manifest, without_none
from .overrides import merged
from .placement import of_replicas
from .security import CONTAINER_SECURITY, POD_SECURITY
from .sources import env_from
from .storage import volumes

LOADING_SECONDS = 300
"""How long a replica may take to be ready when nothing has to be fetched."""
FETCHED_A_SECOND = 10 * 2**20
"""Bytes, of a slow connection."""
SCHEDULING_SECONDS = 300
"""How long a Pod may wait for a node and its image, above the time it may take to start."""
STARTUP_PERIOD = 5
PRE_STOP_SECONDS = 5
"""Time for load balancers to notice that a stopping replica is no endpoint any more."""
MIN_READY_SECONDS = 5
"""Time for Ingress controllers to notice a new replica, before an old one goes for it and the solver is Ready."""
EXIT_SECONDS = 5
"""Time for the process to end after its drain."""
LOCAL_VOLUMES = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
"""The annotation that names the volumes for whose sake cluster-autoscaler need not keep a node."""


def service_account(solver: MCQSolver) -> Manifest:
    """An identity with no permissions and no mounted token: replicas never talk to the API server."""
    annotations = dict(solver.spec.service_account.annotations or {})
    return manifest(SERVICE_ACCOUNT, solver, annotations=annotations, automountServiceAccountToken=False)


def deployment(solver: MCQSolver, pods: Manifest, *, absent: Collection[Kind] = ()) -> Manifest:
    """The replicas, from the template `pods`. Their number is the autoscaler's, if there can be one."""
    startup = startup_seconds(solver)
    return manifest(
        DEPLOYMENT,
        solver,
        spec={
            "replicas": None if autoscaled(solver, absent=absent) else solver.spec.replicas,
            "selector": {"matchLabels": names.selector_labels(solver)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "minReadySeconds": MIN_READY_SECONDS,
            "progressDeadlineSeconds": startup + SCHEDULING_SECONDS,
            "revisionHistoryLimit": 3,
            "template": pods,
        },
    )


def autoscaled(solver: MCQSolver, *, absent: Collection[Kind]) -> bool:
    """Whether something else than the spec says how many replicas there are."""
    wanted = solver.spec.autoscaling
    return wanted.enabled and not (wanted.provider == "KEDA" and SCALED_OBJECT in absent)


def template(solver: MCQSolver, *, service_image: str) -> Manifest:
    """What each replica is. `service_image` is used where the spec names none."""
    own = without_none(
        {
            "metadata": {
                "labels": {**names.labels(solver), **_claim_label(solver)},
                "annotations": {
                    LOCAL_VOLUMES: _local_volumes(solver),
                    names.MODEL_ANNOTATION: solver.model_uri,
                },
            },
            "spec": _pod(solver, service_image=service_image),
        }
    )
    made: Manifest = without_none(merged(own, solver.spec.pod_template))
    return made


def startup_seconds(solver: MCQSolver) -> int:
    """How long a replica may take to fetch, convert and load its model; the first one has gigabytes to fetch.

    How large a model is, is known only once it was fetched; how large it can be, from the cache that must hold it.
    """
    if solver.spec.rollout.startup_seconds is not None:
        return solver.spec.rollout.startup_seconds
    if solver.spec.engine.type == "OpenAI":
        return LOADING_SECONDS
    size = quantity(solver.spec.storage.cache.size) or 0
    return LOADING_SECONDS + int(size / FETCHED_A_SECOND)


def _pod(solver: MCQSolver, *, service_image: str) -> dict[str, Any]:
    return {
        "serviceAccountName": solver.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "imagePullSecrets": image_pull_secrets(solver),
        "terminationGracePeriodSeconds": PRE_STOP_SECONDS + drain_seconds(solver) + EXIT_SECONDS,
        "securityContext": POD_SECURITY,
        "containers": [_container(solver, service_image=service_image)],
        "volumes": [{"name": volume.name, **volume.source} for volume in volumes(solver)],
        **of_replicas(solver),
    }


def _claim_label(solver: MCQSolver) -> dict[str, str]:
    claim = names.single_node_claim(solver)
    return {} if claim is None else {names.CLAIM_LABEL: names.claim_label(claim)}


def _local_volumes(solver: MCQSolver) -> str:
    """Whatever is in an emptyDir can be fetched or made again elsewhere."""
    return ",".join(volume.name for volume in volumes(solver) if "emptyDir" in volume.source)


def image_pull_secrets(solver: MCQSolver) -> list[dict[str, str]] | None:
    """The Secrets that its image is pulled with."""
    return [{"name": secret.name} for secret in solver.spec.image_pull_secrets or []] or None


def _container(solver: MCQSolver, *, service_image: str) -> dict[str, Any]:
    spec = solver.spec
    attempts = math.ceil(startup_seconds(solver) / STARTUP_PERIOD)
    return {
        "name": names.SERVICE_CONTAINER,
        "image": spec.image or service_image,
        "imagePullPolicy": spec.image_pull_policy,
        "env": [{"name": name, "value": value} for name, value in environment(solver).items()],
        "envFrom": env_from(spec.model.credentials_secret_ref)
        if spec.engine.type == "Transformers"
        else None,
        "ports": [
            {"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"},
            {"name": "probes", "containerPort": names.PROBE_PORT, "protocol": "TCP"},
        ],
        "resources": spec.resources.over(REPLICA_RESOURCES).manifest,
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            # Secrets are mounted read-only whatever is said; a cache and /tmp are written to.
            {"name": volume.name, "mountPath": volume.path}
            for volume in volumes(solver)
        ],
        "startupProbe": _probe("/startupz", period=STARTUP_PERIOD, failures=attempts),
        "readinessProbe": _probe("/readyz", period=5, failures=2),
        "livenessProbe": _probe("/livez", period=10, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        # The log's last lines become the termination message, which the solver's conditions show.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    """A probe on the port that clients don't use: connections of theirs must not have a sound replica restarted."""
    return {
        "httpGet": {"path": path, "port": "probes"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
