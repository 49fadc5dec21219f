"""The backups of a solver's namespace: a CronJob, and an identity that may read what goes into them, and no Secret."""

from typing import Any

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.kinds import (
    CONFIG_MAP,
    CRON_JOB,
    EXAM,
    ROLE,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    SOLVER,
    Kind,
)
from mcq_operator.models.rbac import AUTHORIZATION
from mcq_operator.models.status import ObjectRef
from mcq_operator.models.storage import Backup

from .manifest import manifest
from .security import CONTAINER_SECURITY, POD_SECURITY
from .sources import env_from
from .workload import image_pull_secrets

HOPELESS = 2
"""The command's exit code where no other try will help."""
TRIES = 3
LONGEST_SECONDS = 3600
RESOURCES = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
"""Of a Pod that has one object at a time in memory; the backup grows in a file of its /tmp."""


def objects(solver: MCQSolver, *, operator_image: str) -> list[Manifest]:
    """What backs the namespace up, in the order of creation; nothing where the spec asks for none."""
    backup = solver.spec.storage.backup
    if backup is None:
        return []
    return [
        _service_account(solver),
        _role(solver),
        _binding(solver),
        _cron_job(solver, backup, operator_image),
    ]


def _service_account(solver: MCQSolver) -> Manifest:
    return manifest(
        SERVICE_ACCOUNT,
        solver,
        name=names.backup_name(solver),
        annotations=dict(solver.spec.service_account.annotations or {}),
        automountServiceAccountToken=False,
    )


def possible(solver: MCQSolver) -> list[ObjectRef]:
    """Every object that this release could make for it."""
    kinds = (SERVICE_ACCOUNT, ROLE, ROLE_BINDING, CRON_JOB)
    return [kind.named(names.backup_name(solver)) for kind in kinds]


def _role(solver: MCQSolver) -> Manifest:
    rules = [_rule(SOLVER, "get", "list"), _rule(EXAM, "get", "list"), _rule(CONFIG_MAP, "get")]
    return manifest(ROLE, solver, name=names.backup_name(solver), rules=rules)


def _rule(kind: Kind, *verbs: str) -> dict[str, Any]:
    return {"apiGroups": [kind.group], "resources": [kind.plural], "verbs": [*verbs]}


def _binding(solver: MCQSolver) -> Manifest:
    name = names.backup_name(solver)
    return manifest(
        ROLE_BINDING,
        solver,
        name=name,
        roleRef={"apiGroup": AUTHORIZATION, "kind": ROLE.kind, "name": name},
        subjects=[{"kind": SERVICE_ACCOUNT.kind, "name": name, "namespace": solver.namespace}],
    )


def _cron_job(solver: MCQSolver, backup: Backup, image: str) -> Manifest:
    return manifest(
        CRON_JOB,
        solver,
        name=names.backup_name(solver),
        spec={
            "schedule": backup.schedule,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {
                "metadata": {"labels": names.backup_labels(solver)},
                "spec": _job_spec(solver, backup, image),
            },
        },
    )


def _job_spec(solver: MCQSolver, backup: Backup, image: str) -> dict[str, Any]:
    only = {"containerName": "backup", "operator": "In", "values": [HOPELESS]}
    evicted = {"type": "DisruptionTarget", "status": "True"}
    return {
        "backoffLimit": TRIES - 1,
        "activeDeadlineSeconds": LONGEST_SECONDS,
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onExitCodes": only},
                # A drained node is nothing that the backup failed by.
                {"action": "Ignore", "onPodConditions": [evicted]},
            ]
        },
        "template": {
            "metadata": {"labels": names.backup_labels(solver)},
            "spec": {
                "restartPolicy": "Never",
                "serviceAccountName": names.backup_name(solver),
                "automountServiceAccountToken": True,
                "enableServiceLinks": False,
                "imagePullSecrets": image_pull_secrets(solver),
                "securityContext": POD_SECURITY,
                "containers": [_container(solver, backup, image)],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            },
        },
    }


def _container(solver: MCQSolver, backup: Backup, image: str) -> dict[str, Any]:
    options = {"namespace": solver.namespace, "to": backup.uri, "keep": backup.keep}
    return {
        "name": "backup",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["backup", "create", *(f"--{name}={value}" for name, value in options.items())],
        "envFrom": env_from(backup.credentials_secret_ref),
        "resources": RESOURCES,
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the Pod's own
        # The log's last lines become the termination message, which the condition BackedUp shows.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
