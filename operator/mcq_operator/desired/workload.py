"""The replicas: a Deployment that never falls below the desired number, and its identity."""

import math
from collections.abc import Collection
from typing import Any

from mcq_operator.api import Manifest, MCQSolver, names
from mcq_operator.api.kinds import DEPLOYMENT, SCALED_OBJECT, SERVICE_ACCOUNT, Kind
from mcq_operator.api.quantity import quantity
from mcq_operator.api.replica import REPLICA_RESOURCES

from .config import drain_seconds, environment
from .images import ServiceImages, replica_image
from .manifest import manifest, without_none
from .overrides import merged
from .placement import replica_placement
from .security import CONTAINER_SECURITY, POD_SECURITY
from .sources import env_from
from .storage import volumes

LOADING_SECONDS = 300
"""How long a replica may take to become ready if it fetches nothing."""
FETCHED_PER_SECOND = 10 * 2**20
"""Bytes a second over a slow connection."""
SCHEDULING_SECONDS = 300
"""How long a Pod may wait for a node and its image, in addition to its start-up time."""
STARTUP_PERIOD = 5
PRE_STOP_SECONDS = 5
"""Time for load balancers to notice that a stopping replica is no longer an endpoint."""
MIN_READY_SECONDS = 5
"""Time for Ingress controllers to notice a new replica before it replaces an old one and the solver is Ready."""
EXIT_SECONDS = 5
"""Time for the process to end after its drain."""
LOCAL_VOLUMES = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
"""The annotation with the volumes that do not keep cluster-autoscaler from removing a node."""


def service_account(solver: MCQSolver) -> Manifest:
    """Return an identity without permissions or a mounted token: replicas never use the API server."""
    annotations = dict(solver.spec.service_account.annotations or {})
    return manifest(SERVICE_ACCOUNT, solver, annotations=annotations, automountServiceAccountToken=False)


def deployment(solver: MCQSolver, pods: Manifest, *, absent: Collection[Kind] = ()) -> Manifest:
    """Return the Deployment with the template `pods`. The autoscaler, if there can be one, sets the replicas."""
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
    """Return whether an autoscaler, instead of the spec, sets the number of replicas."""
    options = solver.spec.autoscaling
    return options.enabled and not (options.provider == "KEDA" and SCALED_OBJECT in absent)


def template(solver: MCQSolver, *, images: ServiceImages) -> Manifest:
    """Return the replicas' Pod template. `images` are for a spec that names none."""
    own = without_none(
        {
            "metadata": {
                "labels": {**names.labels(solver), **_claim_label(solver)},
                "annotations": {
                    LOCAL_VOLUMES: _local_volumes(solver),
                    names.MODEL_ANNOTATION: solver.model_uri,
                },
            },
            "spec": _pod(solver, images=images),
        }
    )
    pods: Manifest = without_none(merged(own, solver.spec.pod_template))
    return pods


def plain_template(solver: MCQSolver, *, images: ServiceImages) -> Manifest:
    """Return the replicas' template without the minimum confidence that an exam set. Its digest identifies them.

    Probabilities don't depend on it. With it, each exam that sets it would have to run again.
    """
    plain = solver.model_copy(update={"status": solver.status.model_copy(update={"threshold": None})})
    return template(plain, images=images)


def startup_seconds(solver: MCQSolver) -> int:
    """Return how long a replica may take to fetch, convert and load its model; the first one fetches gigabytes.

    The model's size is unknown before it is fetched, but the size of the cache bounds it.
    """
    if solver.spec.rollout.startup_seconds is not None:
        return solver.spec.rollout.startup_seconds
    if solver.spec.engine.type == "OpenAI":
        return LOADING_SECONDS
    size = quantity(solver.spec.storage.cache.size) or 0
    return LOADING_SECONDS + int(size / FETCHED_PER_SECOND)


def _pod(solver: MCQSolver, *, images: ServiceImages) -> dict[str, Any]:
    return {
        "serviceAccountName": solver.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "imagePullSecrets": image_pull_secrets(solver),
        "terminationGracePeriodSeconds": PRE_STOP_SECONDS + drain_seconds(solver) + EXIT_SECONDS,
        "securityContext": POD_SECURITY,
        "containers": [_container(solver, images=images)],
        "volumes": [{"name": volume.name, **volume.source} for volume in volumes(solver)],
        **replica_placement(solver),
    }


def _claim_label(solver: MCQSolver) -> dict[str, str]:
    claim = names.single_node_claim(solver)
    return {} if claim is None else {names.CLAIM_LABEL: names.claim_label(claim)}


def _local_volumes(solver: MCQSolver) -> str:
    """Return the names of the emptyDir volumes: their content can be fetched or computed again elsewhere."""
    return ",".join(volume.name for volume in volumes(solver) if "emptyDir" in volume.source)


def image_pull_secrets(solver: MCQSolver) -> list[dict[str, str]] | None:
    """Return the Secrets for pulling the solver's image."""
    return [{"name": secret.name} for secret in solver.spec.image_pull_secrets or []] or None


def _container(solver: MCQSolver, *, images: ServiceImages) -> dict[str, Any]:
    spec = solver.spec
    attempts = math.ceil(startup_seconds(solver) / STARTUP_PERIOD)
    return {
        "name": names.SERVICE_CONTAINER,
        "image": replica_image(solver, images),
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
            # No readOnly: Secrets are always read-only, and the cache and /tmp need writing.
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
    """Return a probe. It uses a port without clients, so that their connections can't cause a restart."""
    return {
        "httpGet": {"path": path, "port": "probes"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
