"""Names, labels and ports that the objects of one resource share."""

import hashlib
import re
from collections.abc import Mapping

from .base import GROUP
from .exam import MCQExam
from .kinds import RECONCILED, Kind
from .resource import ExamKey, Key, Resource, SolverKey
from .solver import MCQSolver

NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
OPERATOR_NAME = "mcq-operator"
POD_REVISION = "pod-template-hash"
"""Kubernetes' own label: it separates the Pods and ReplicaSets of one template from those of another."""
MANAGED_SELECTOR = f"{MANAGED_BY_LABEL}={OPERATOR_NAME}"
APPLIED_DIGEST = f"{GROUP}/applied-digest"

RUNBOOKS = "docs/operations"
"""The folder of the alerts' pages in this repository: docs/operations/<alert>.md."""

SERVICE_CONTAINER = "service"
EXAM_CONTAINER = "exam"
BACKUP_CONTAINER = "backup"
"""The operator's container in a Pod. Injectors may add others, such as a mesh's proxy."""

FAILED_OUTCOMES = (
    "bad-engine",
    "deadline-exceeded",
    "draining",
    "internal-error",
    "not-ready",
    "out-of-memory",
    "overloaded",
)
"""Outcomes of valid questions that got no answer, in a replica's counts."""
ANSWERED_OUTCOMES = ("abstained", "answered")

HTTP_PORT = 8000
PROBE_PORT = 8081
"""A replica's port for probes, metrics and the test question; no Ingress leads to it."""
SERVICE_PORT = 80


def cache_name(solver: MCQSolver) -> str:
    """Return the name of the claim that the operator creates for the model cache."""
    return f"{solver.name}-model-cache"


MODEL_ANNOTATION = f"{GROUP}/model"
"""On replicas: the model that they load. The spec may name another one by now."""
JOB_INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
"""Kubernetes' own, on the Pods of an indexed Job: the index of the Pod's share of the work."""
CLAIM_LABEL = f"{GROUP}/claim"
"""On Pods that must run on the node of one volume: the volume's claim."""


def single_node_claim(solver: MCQSolver) -> str | None:
    """Return the claim of the model cache if only one node can mount it, else None."""
    cache, engine = solver.spec.storage.cache, solver.spec.engine.type
    if engine == "OpenAI" or cache.type != "PVC" or cache.access_mode != "ReadWriteOnce":
        return None
    return cache.claim_name or cache_name(solver)


def claim_label(claim: str) -> str:
    """Return the value of CLAIM_LABEL; a claim's name may be too long for a label."""
    return _suffixed(claim, "", longest=63)


def exam_summary_name(solver: MCQSolver) -> str:
    """Return the name of the ConfigMap with the last exam, which the replicas show."""
    return f"{solver.name}-last-exam"


def dashboards_name(solver: MCQSolver) -> str:
    """Return the name of the ConfigMap of the dashboards."""
    return f"{solver.name}-dashboards"


PROMOTE_ANNOTATION = f"{GROUP}/promote"
"""Lets one change through its gate. The value has the change's digest, the author and the reason."""
RETRY_ANNOTATION = f"{GROUP}/retry"
"""Another value lets a change that did not pass its gate take the exam again."""
PAUSE_UPGRADE = f"{GROUP}/pause-upgrade"
"""With the value true, an upgrade of the operator keeps a solver's replicas until its spec changes."""
LONGEST_EXAM = 40


def candidate_name(solver: MCQSolver) -> str:
    """Return the name of the gate's candidate, an MCQSolver, and of the MCQExam that it takes."""
    return _suffixed(solver.name, "-candidate", longest=LONGEST_EXAM)


def _suffixed(name: str, suffix: str, *, longest: int) -> str:
    """Return a name of at most `longest` characters."""
    longest -= len(suffix)
    if len(name) <= longest:
        return name + suffix
    # A digest keeps two long names with the same beginning apart.
    name_digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: longest - 9].rstrip('-')}-{name_digest}{suffix}"


def exam_name(exam: MCQExam) -> str:
    """Return the name of an exam's objects, except results and Jobs. The suffix keeps it apart from a solver's."""
    return f"{exam.name}-exam"


def results_name(exam: MCQExam) -> str:
    """Return the name of the ConfigMap with the exam's figures and reports."""
    return f"{exam.name}-results"


def shard_results_name(results: str, shard: int) -> str:
    """Return the name of the ConfigMap with a shard's questions; one ConfigMap holds only 1 MiB."""
    return f"{results}-{shard}"


def is_shard_results_name(name: str) -> bool:
    """Return whether a ConfigMap with this name has a shard's questions; an exam's other ConfigMaps have no number."""
    return re.search(r"-results-\d+$", name) is not None


def rows_key(sitting: str) -> str:
    """Return the key of the questions in a shard's ConfigMap."""
    return f"{sitting}.rows.json.gz"


BACKUP_NAME = "mcq-backup"
LONGEST_CRON_JOB = 52
"""Kubernetes' limit for the name of a CronJob: it appends 11 characters for the name of a Job."""


def backup_name(solver: MCQSolver) -> str:
    """Return the name of the CronJob that backs up the solver's namespace, and of its identity."""
    return _suffixed(solver.name, "-backups", longest=LONGEST_CRON_JOB)


def backup_labels(solver: MCQSolver) -> dict[str, str]:
    """Return the labels of the backup's Jobs and Pods. With the replicas' labels they would receive questions."""
    return {**labels(solver), NAME_LABEL: BACKUP_NAME, "app.kubernetes.io/component": "backup"}


def backup_selector(solver: MCQSolver) -> str:
    """Return the label selector of the backup's Jobs and Pods in the API's query form."""
    return f"{NAME_LABEL}={BACKUP_NAME},{INSTANCE_LABEL}={solver.name}"


TEMPLATE_DIGEST_ANNOTATION = f"{GROUP}/template-digest"
"""On the Jobs of a scheduled exam: the digest of the replicas that answered when the Job started."""
RESTORED_ANNOTATION = f"{GROUP}/restored"
"""On an exam's results: the restored sitting, and a digest of its questions and replicas."""

_NAMES: dict[type[Key], str] = {SolverKey: "mcq-solver", ExamKey: "mcq-exam"}
_KEYS: dict[str, type[Key]] = {**{name: key for key, name in _NAMES.items()}, BACKUP_NAME: SolverKey}
_COMPONENTS: dict[type[Key], str] = {SolverKey: "inference", ExamKey: "exam"}
EXAM_LABELS = {NAME_LABEL: _NAMES[ExamKey]}
"""The label of the Pods of all exams."""


def selector_labels(resource: Resource) -> dict[str, str]:
    """Return the labels that select a resource's Pods. They must never change: a Deployment's selector can't."""
    return {NAME_LABEL: _NAMES[resource.KEY], INSTANCE_LABEL: resource.name}


def labels(resource: Resource) -> dict[str, str]:
    """Return the labels of every object of a resource."""
    return {
        **selector_labels(resource),
        "app.kubernetes.io/component": _COMPONENTS[resource.KEY],
        MANAGED_BY_LABEL: OPERATOR_NAME,
    }


def key_from_labels(namespace: str, object_labels: Mapping[str, str]) -> Key | None:
    """Return the key of the resource that an object with these labels belongs to; None if they name no resource."""
    name = object_labels.get(INSTANCE_LABEL)
    key = _KEYS.get(object_labels.get(NAME_LABEL, ""))
    return key(namespace, name) if name and key else None


def selector(resource: Resource) -> str:
    """Return the Pods' label selector in the API's query form."""
    return ",".join(f"{key}={value}" for key, value in selector_labels(resource).items())


def watch_selector(kind: Kind) -> str | None:
    """Return the label selector for watching a kind, or None to watch all objects of the kind."""
    return None if kind in RECONCILED else MANAGED_SELECTOR


def service_url(solver: SolverKey) -> str:
    """Return the address of a solver's Service, from inside the cluster."""
    return f"http://{solver.name}.{solver.namespace}.svc"


def url(solver: MCQSolver) -> str:
    """Return the address for clients: the Ingress, the Gateway, or the Service from inside the cluster."""
    ingress, gateway = solver.spec.ingress, solver.spec.gateway
    if ingress.is_on:
        scheme = "https" if ingress.tls_secret_name else "http"
        return f"{scheme}://{ingress.host}{ingress.path.rstrip('/')}"
    if gateway.enabled and gateway.hostnames:
        # The listener may have a certificate, but the operator can't read Gateways.
        return f"http://{gateway.hostnames[0]}{gateway.path.rstrip('/')}"
    return service_url(solver.key)
