"""The service's settings, as environment variables."""

import math

from mcq_operator.api import Manifest, MCQSolver, SolverKey, names
from mcq_operator.api.quantity import quantity
from mcq_operator.api.replica import REPLICA_RESOURCES

from .manifest import settings_of
from .sources import MountedPath, mounted

CACHE_PATH = "/var/cache/mcq"
API_KEYS_PATH = "/etc/mcq/api-keys"
ENGINE_KEY_PATH = "/etc/mcq/engine-key"
ESCALATION_KEY_PATH = "/etc/mcq/escalation-key"
EXAM_PATH = "/etc/mcq/exam"
EXAM_FILE = "exam.json"
ABSTAIN = 1
"""The minimum confidence until an exam gives one: replicas answer only what they are certain of."""


def environment(solver: MCQSolver) -> dict[str, str]:
    """Return the service's environment variables for a solver's spec.

    They are in the Pod template and not in a ConfigMap: a replica that restarts during a roll-out starts with the
    settings of its own revision, and a rollback restores the old settings.
    """
    spec = solver.spec
    variables: dict[str, object | None] = {
        "MCQ_HOST": "::",
        "MCQ_PORT": names.HTTP_PORT,
        "MCQ_ROOT_PATH": _root_path(solver),
        "MCQ_PROBE_PORT": names.PROBE_PORT,
        "MCQ_DEFAULT_MODE": spec.answering.default_mode,
        "MCQ_MAX_REASONING_TOKENS": spec.answering.max_reasoning_tokens,
        "MCQ_MIN_CONFIDENCE": _min_confidence(solver),
        "MCQ_DEBIAS": spec.answering.debias,
        "MCQ_MAX_QUEUED_REQUESTS": spec.limits.max_queued_requests,
        "MCQ_MAX_QUEUED_TOKENS": spec.limits.max_queued_tokens,
        "MCQ_DEADLINE_SECONDS": spec.limits.deadline_seconds,
        "MCQ_DRAIN_SECONDS": drain_seconds(solver),
        "MCQ_EXAM_FILE": f"{EXAM_PATH}/{EXAM_FILE}",
        "MCQ_API_KEYS_FILE": API_KEYS_PATH if spec.auth.api_keys_secret_ref else None,
        "MCQ_MAX_BATCH_SIZE": spec.engine.max_batch_size,
        "MCQ_CONTEXT_LENGTH": spec.engine.context_length,
        **_escalation(solver),
        **_engine(solver),
        **_tracing(solver),
    }
    return {name: str(value) for name, value in variables.items() if value is not None}


def asks_for_key(template: Manifest) -> bool:
    """Return whether replicas of this template answer only clients with an API key."""
    return "MCQ_API_KEYS_FILE" in settings_of(template)


def _min_confidence(solver: MCQSolver) -> float:
    """Return the spec's minimum confidence, or the one that reaches the spec's accuracy.

    It is a setting in the Pod template. It is not in the exam's ConfigMap, because every tenant who may write
    ConfigMaps could change it there.
    """
    answering, threshold = solver.spec.answering, solver.status.threshold
    if answering.target_accuracy is None:
        return answering.min_confidence
    return threshold.min_confidence if threshold else ABSTAIN


def _escalation(solver: MCQSolver) -> dict[str, object | None]:
    target = solver.spec.answering.escalate_to
    if target is None or target.solver_ref.name == solver.name:  # a condition says so
        return {}
    key = target.api_key_secret_ref
    return {
        "MCQ_ESCALATION_ENDPOINT": names.service_url(SolverKey(solver.namespace, target.solver_ref.name)),
        "MCQ_ESCALATION_API_KEY_FILE": f"{ESCALATION_KEY_PATH}/{key.key}" if key else None,
    }


def _engine(solver: MCQSolver) -> dict[str, object | None]:
    spec, openai = solver.spec, solver.spec.engine.openai
    if openai is None:
        return {
            "MCQ_MODEL_URI": _model_uri(spec.model.uri),
            "MCQ_MODEL_REVISION": spec.model.revision,
            "MCQ_MODEL_DIGEST": spec.model.digest,
            "MCQ_MODEL_PRECISION": spec.model.precision,
            "MCQ_MODEL_CACHE": CACHE_PATH,
            "MCQ_THREADS": spec.engine.threads or _threads(solver),
        }
    key = openai.api_key_secret_ref
    return {
        "MCQ_ENGINE": "openai",
        "MCQ_OPENAI_ENDPOINT": openai.endpoint,
        "MCQ_OPENAI_MODEL": openai.model,
        "MCQ_OPENAI_API_KEY_FILE": f"{ENGINE_KEY_PATH}/{key.key}" if key else None,
    }


def _root_path(solver: MCQSolver) -> str | None:
    """Return the path prefix that the Ingress passes on; a Gateway strips its prefix."""
    ingress = solver.spec.ingress
    return ingress.path.rstrip("/") or None if ingress.is_on else None


def _threads(solver: MCQSolver) -> int:
    """Return the CPU request, rounded up; 0 with a CPU limit, which the service reads itself.

    Without either, each replica would use all CPUs of its node.
    """
    resources = solver.spec.resources.over(REPLICA_RESOURCES)
    if "cpu" in (resources.limits or {}):
        return 0
    return max(1, math.ceil(quantity((resources.requests or {})["cpu"]) or 0))


def model_path(model: MountedPath) -> str:
    """Return the mount path of a model volume. Replicas identify a model by its path, so each volume has its own."""
    return f"/mnt/{model.name}"


def _model_uri(uri: str) -> str:
    model = mounted(uri)
    return f"file://{model_path(model)}/{model.path}".rstrip("/") if model else uri


def drain_seconds(solver: MCQSolver) -> int:
    """Return how long a stopping replica may take: every admitted request ends by its deadline."""
    return solver.spec.limits.deadline_seconds


def _tracing(solver: MCQSolver) -> dict[str, object | None]:
    tracing = solver.spec.tracing
    if not tracing.enabled:
        return {}
    return {
        "OTEL_SERVICE_NAME": solver.name,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.namespace={solver.namespace}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": tracing.endpoint,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": tracing.sampling_ratio,
    }
