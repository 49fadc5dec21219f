"""The backups of a solver's namespace: a CronJob, and an identity that may read what it backs up, but no Secret."""

from typing import Any

from mcq_operator.api import Manifest, MCQSolver, names
from mcq_operator.api.kinds import CONFIG_MAP, CRON_JOB, EXAM, SOLVER
from mcq_operator.api.replica import Resources
from mcq_operator.api.resource_status import ObjectRef
from mcq_operator.api.storage import Backup

from . import tasks
from .security import CONTAINER_SECURITY
from .sources import env_from
from .workload import image_pull_secrets

PERMANENT = 2
"""The command's exit code when a retry can't help."""
TRIES = 3
LONGEST_SECONDS = 3600
RESOURCES = Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "512Mi"})
"""The Pod holds one object at a time in memory and writes the backup to a file in /tmp."""


def objects(solver: MCQSolver, *, operator_image: str) -> list[Manifest]:
    """Return the backup's objects in the order of creation; none if the spec has no backup."""
    backup = solver.spec.storage.backup
    if backup is None:
        return []
    name = names.backup_name(solver)
    return [
        *tasks.identity(
            solver,
            name,
            annotations=solver.spec.service_account.annotations,
            rules=[
                tasks.rule(SOLVER, "get", "list"),
                tasks.rule(EXAM, "get", "list"),
                tasks.rule(CONFIG_MAP, "get"),
            ],
        ),
        tasks.cron_job(
            solver,
            name,
            schedule=backup.schedule,
            start_within=3600,
            history=1,
            labels=names.backup_labels(solver),
            job=_job(solver, backup, operator_image),
        ),
    ]


def possible(solver: MCQSolver) -> list[ObjectRef]:
    """Return every object that this release could create for a solver's backups."""
    return [kind.named(names.backup_name(solver)) for kind in (*tasks.IDENTITY, CRON_JOB)]


def _job(solver: MCQSolver, backup: Backup, image: str) -> dict[str, Any]:
    return {
        "backoffLimit": TRIES - 1,
        "activeDeadlineSeconds": LONGEST_SECONDS,
        "podFailurePolicy": tasks.failure_policy(names.BACKUP_CONTAINER, permanent=PERMANENT),
        "template": tasks.pods(
            account=names.backup_name(solver),
            labels=names.backup_labels(solver),
            pull_secrets=image_pull_secrets(solver),
            container=_container(solver, backup, image),
            volumes=[{"name": "tmp", "emptyDir": {}}],
            scheduling=backup.scheduling,
            overrides=backup.pod_template,
        ),
    }


def _container(solver: MCQSolver, backup: Backup, image: str) -> dict[str, Any]:
    options = {"namespace": solver.namespace, "to": backup.uri, "keep": backup.keep}
    return {
        "name": names.BACKUP_CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["backup", "create", *(f"--{name}={value}" for name, value in options.items())],
        "envFrom": env_from(backup.credentials_secret_ref),
        "resources": backup.resources.over(RESOURCES).manifest,
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the Pod's own
        # The log's last lines become the termination message, which the condition BackedUp shows.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
