"""A user's additions to the operator's Pods: for a mesh, a proxy, a private CA, a cloud's identity."""

from typing import Annotated, Any

from pydantic import Field

from .base import GROUP, Model, PassThrough, rule, rules

OWNED_LABELS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app.kubernetes.io/managed-by",
)
"""Labels by which the operator, Services and NetworkPolicies select Pods."""
OWNED_PREFIXES = (f"{GROUP}/", "pod-template-hash", "controller-", "job-name", "batch.kubernetes.io/")
OWNED_ENV = (
    "MCQ_API_KEY",
    "MCQ_API_KEYS_FILE",
    "MCQ_CONTEXT_LENGTH",
    "MCQ_DEADLINE_SECONDS",
    "MCQ_DEBIAS",
    "MCQ_DEFAULT_MODE",
    "MCQ_DRAIN_SECONDS",
    "MCQ_ENGINE",
    "MCQ_ESCALATION_API_KEY_FILE",
    "MCQ_ESCALATION_ENDPOINT",
    "MCQ_EXAM_FILE",
    "MCQ_EXAM_RUN",
    "MCQ_EXAM_SITTING",
    "MCQ_HOST",
    "MCQ_MAX_BATCH_SIZE",
    "MCQ_MAX_QUEUED_REQUESTS",
    "MCQ_MAX_QUEUED_TOKENS",
    "MCQ_MAX_REASONING_TOKENS",
    "MCQ_MIN_CONFIDENCE",
    "MCQ_MODEL_CACHE",
    "MCQ_MODEL_DIGEST",
    "MCQ_MODEL_PRECISION",
    "MCQ_MODEL_REVISION",
    "MCQ_MODEL_URI",
    "MCQ_OPENAI_API_KEY_FILE",
    "MCQ_OPENAI_ENDPOINT",
    "MCQ_OPENAI_MODEL",
    "MCQ_PORT",
    "MCQ_PROBE_PORT",
    "MCQ_ROOT_PATH",
    "MCQ_THREADS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
)
"""Environment variables that fields of the spec set."""
OWNED_CONTAINERS = ("service", "exam", "backup")
OWNED_VOLUMES = (
    "cache",
    "model",
    "tmp",
    "exam",
    "engine-key",
    "escalation-key",
    "api-keys",
    "questions",
    "baseline",
)
OWNED_PATHS = ("/", "/tmp", "/app", "/var/cache/mcq", "/etc/mcq", "/etc/mcq-exam", "/etc/mcq-baseline")  # noqa: S108
"""Paths of the operator's volumes and of the program in the image."""


_TEXT = {"type": "string", "minLength": 1, "maxLength": 253}


def _cel(items: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{item}'" for item in items) + "]"


def _keys(kind: str, owned: tuple[str, ...], prefixes: tuple[str, ...]) -> Any:
    """Return a map of labels or annotations that refuses the operator's own keys."""
    starts = [f"key.startsWith('{prefix}')" for prefix in prefixes]
    taken = " || ".join([*([f"key in {_cel(owned)}"] if owned else []), *starts])
    names = ", ".join([*owned, *(f"{prefix}*" for prefix in prefixes)])
    message = f"the operator sets these {kind} itself, leave them out: {names}"
    return Field(max_length=64, json_schema_extra=rules(rule(f"self.all(key, !({taken}))", message)))


def _objects(key: str, owned: tuple[str, ...], message: str, **more: Any) -> Any:
    """Return a list of objects that are passed to Kubernetes unchanged, with `key` as their identity.

    The key's CEL rule refuses the `owned` values, and quotes the refused one.
    """
    refused = rule(f"!(self in {_cel(owned)})", message, computed=f"self + ': {message}'")
    item = {
        "type": "object",
        "properties": {key: {**_TEXT, **rules(refused)}, **more},
        "required": [key, *more],
        "x-kubernetes-preserve-unknown-fields": True,
    }
    schema: dict[str, Any] = {
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
    }
    return Field(max_length=32, json_schema_extra=schema)


Labels = Annotated[
    dict[str, Annotated[str, Field(max_length=63)]], _keys("labels", OWNED_LABELS, OWNED_PREFIXES)
]
Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=4096)]], _keys("annotations", (), (f"{GROUP}/",))
]
Objects = list[dict[str, Any]]
Env = Annotated[
    Objects, _objects("name", OWNED_ENV, "the operator sets this variable itself, by a field of the spec")
]
Volumes = Annotated[
    Objects, _objects("name", OWNED_VOLUMES, "the operator has a volume of this name: choose another name")
]
Mounts = Annotated[
    Objects,
    _objects(
        "mountPath",
        OWNED_PATHS,
        "the operator or the image uses this path: mount the volume elsewhere",
        name=_TEXT,
    ),
]
Containers = Annotated[
    Objects,
    _objects("name", OWNED_CONTAINERS, "the operator has a container of this name: choose another name"),
]


class PodMetadata(Model):
    """Labels and annotations of Pods, in addition to the operator's."""

    labels: Labels | None = None
    """Further labels, such as a mesh's opt-out."""
    annotations: Annotations | None = None
    """Further annotations."""


class PodTemplate(Model):
    """Additions to the operator's Pods. The API server refuses the fields that the operator sets itself."""

    metadata: PodMetadata = PodMetadata()
    """Labels and annotations."""
    env: Env | None = None
    """Environment variables of the container, as in a Pod: HTTPS_PROXY, SSL_CERT_FILE, HF_ENDPOINT, or a setting of
    the service that the spec has no field for."""
    env_from: Annotated[list[PassThrough], Field(max_length=16)] | None = None
    """ConfigMaps and Secrets; their keys become environment variables of the container. Variables of the operator and
    of `env` win."""
    volumes: Volumes | None = None
    """Further volumes, as in a Pod."""
    volume_mounts: Mounts | None = None
    """Where the container mounts the volumes, as in a Pod."""
    security_context: PassThrough | None = None
    """The Pod's security context, merged over the operator's. If it is given, even empty, the operator
    sets neither runAsUser nor runAsGroup nor fsGroup, so that OpenShift can choose them."""
    init_containers: Containers | None = None
    """Containers that run before the others, as in a Pod."""
    sidecars: Containers | None = None
    """Containers that start before the operator's container and stop after it (init containers with restartPolicy
    Always). A Job's Pod completes even while they run."""
