"""Names, labels and ports that the objects of one resource agree on."""

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
"""Kubernetes' own label, by which Pods and ReplicaSets of one template are told from those of another."""
MANAGED_SELECTOR = f"{MANAGED_BY_LABEL}={OPERATOR_NAME}"
APPLIED_DIGEST = f"{GROUP}/applied-digest"

RUNBOOKS = f"https://{GROUP}/docs/operations"
"""Where each alert has its page: docs/operations/<alert>.md."""

SERVICE_CONTAINER = "service"
EXAM_CONTAINER = "exam"
BACKUP_CONTAINER = "backup"
"""Our container in a Pod, where others may be put by an injector, such as a mesh's proxy."""

HTTP_PORT = 8000
PROBE_PORT = 8081
"""Of a replica: probes, metrics and the test question, which no Ingress leads to."""
SERVICE_PORT = 80


def cache_name(solver: MCQSolver) -> str:
    """The claim that is made for the model cache."""
    return f"{solver.name}-model-cache"


MODEL_ANNOTATION = f"{GROUP}/model"
"""On replicas: the model that they were told to load. The spec may name another one by now."""
JOB_INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
"""Kubernetes' own, on the Pods of an indexed Job: which share of the work a Pod has."""
CLAIM_LABEL = f"{GROUP}/claim"
"""On Pods that have to run on the node of one volume: which volume that is."""


def single_node_claim(solver: MCQSolver) -> str | None:
    """The claim of the model cache, where only one node can mount it."""
    cache, engine = solver.spec.storage.cache, solver.spec.engine.type
    if engine == "OpenAI" or cache.type != "PVC" or cache.access_mode != "ReadWriteOnce":
        return None
    return cache.claim_name or cache_name(solver)


def claim_label(claim: str) -> str:
    """The value of CLAIM_LABEL; a claim's name may be longer than a label."""
    return _suffixed(claim, "", longest=63)


def sat_exam_name(solver: MCQSolver) -> str:
    """The ConfigMap that tells its replicas of their last exam."""
    return f"{solver.name}-last-exam"


def dashboards_name(solver: MCQSolver) -> str:
    """The ConfigMap of its dashboards."""
    return f"{solver.name}-dashboards"


PROMOTE_ANNOTATION = f"{GROUP}/promote"
"""Lets one change through its gate; its value is the change's digest, who did so and why."""
PAUSE_UPGRADE = f"{GROUP}/pause-upgrade"
"""With the value true, keeps a solver's replicas when the operator is upgraded, until its spec changes."""
LONGEST_EXAM = 40


def candidate_name(solver: MCQSolver) -> str:
    """The MCQSolver that sits the exam of the solver's gate, and that exam."""
    return _suffixed(solver.name, "-candidate", longest=LONGEST_EXAM)


def _suffixed(name: str, suffix: str, *, longest: int) -> str:
    """A name of at most `longest` characters."""
    longest -= len(suffix)
    if len(name) <= longest:
        return name + suffix
    # Two long names that begin alike are still two.
    told = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: longest - 9].rstrip('-')}-{told}{suffix}"


def exam_name(exam: MCQExam) -> str:
    """What is made for an exam, but for its results and Jobs: an exam may have the name of a solver."""
    return f"{exam.name}-exam"


def results_name(exam: MCQExam) -> str:
    """The ConfigMap of its results: figures and reports."""
    return f"{exam.name}-results"


def shard_results_name(results: str, shard: int) -> str:
    """The ConfigMap that has a shard's questions; one holds 1 MiB."""
    return f"{results}-{shard}"


def is_of_shard(name: str) -> bool:
    """Whether it is the name of a shard's ConfigMap: no other of an exam ends so."""
    return re.search(r"-results-\d+$", name) is not None


def rows_key(sitting: str) -> str:
    """The key of a shard's questions in it."""
    return f"{sitting}.rows.json.gz"


BACKUP_NAME = "mcq-backup"
LONGEST_CRON_JOB = 52
"""Kubernetes' own bound: the Jobs' names are longer."""


def backup_name(solver: MCQSolver) -> str:
    """The CronJob that backs up the solver's namespace, and what it runs as."""
    return _suffixed(solver.name, "-backups", longest=LONGEST_CRON_JOB)


def backup_labels(solver: MCQSolver) -> dict[str, str]:
    """The labels of its Jobs and Pods: not the replicas', or questions would be sent to them."""
    return {**labels(solver), NAME_LABEL: BACKUP_NAME, "app.kubernetes.io/component": "backup"}


def backup_selector(solver: MCQSolver) -> str:
    """Those Jobs' and Pods' label selector in the API's query form."""
    return f"{NAME_LABEL}={BACKUP_NAME},{INSTANCE_LABEL}={solver.name}"


RESTORED_ANNOTATION = f"{GROUP}/restored"
"""On the results of an exam: the sitting that a restore brought back, and what was asked of whom in it."""

_NAMES: dict[type[Key], str] = {SolverKey: "mcq-solver", ExamKey: "mcq-exam"}
_MEANT = {**{name: key for key, name in _NAMES.items()}, BACKUP_NAME: SolverKey}
_COMPONENTS: dict[type[Key], str] = {SolverKey: "inference", ExamKey: "exam"}
EXAM_LABELS = {NAME_LABEL: _NAMES[ExamKey]}
"""The label of all exams' Pods."""


def selector_labels(resource: Resource) -> dict[str, str]:
    """The labels that find a resource's Pods. A Deployment's selector can't change: neither may these."""
    return {NAME_LABEL: _NAMES[resource.KEY], INSTANCE_LABEL: resource.name}


def labels(resource: Resource) -> dict[str, str]:
    """The labels of everything that is made for a resource."""
    return {
        **selector_labels(resource),
        "app.kubernetes.io/component": _COMPONENTS[resource.KEY],
        MANAGED_BY_LABEL: OPERATOR_NAME,
    }


def labelled(namespace: str, found: Mapping[str, str]) -> Key | None:
    """The resource that an object with these labels was made for."""
    name = found.get(INSTANCE_LABEL)
    key = _MEANT.get(found.get(NAME_LABEL, ""))
    return key(namespace, name) if name and key else None


def selector(resource: Resource) -> str:
    """The Pods' label selector in the API's query form."""
    return ",".join(f"{key}={value}" for key, value in selector_labels(resource).items())


def watch_selector(kind: Kind) -> str | None:
    """The label selector by which the server filters what is watched of a kind; None: all of it is."""
    return None if kind in RECONCILED else MANAGED_SELECTOR


def url(solver: MCQSolver) -> str:
    """Where a client asks: through Ingress or Gateway, or the Service from inside the cluster."""
    ingress, gateway = solver.spec.ingress, solver.spec.gateway
    if ingress.is_on:
        scheme = "https" if ingress.tls_secret_name else "http"
        return f"{scheme}://{ingress.host}{ingress.path.rstrip('/')}"
    if gateway.enabled and gateway.hostnames:
        # Whether its listener has a certificate is the Gateway's, which is not ours to read.
        return f"http://{gateway.hostnames[0]}{gateway.path.rstrip('/')}"
    return f"http://{solver.name}.{solver.namespace}.svc"
