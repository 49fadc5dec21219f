"""The BackedUp condition: the result of the last backup Job."""

from mcq_operator.api import Manifest, MCQSolver, names
from mcq_operator.api.observed import ObservedBackups, ObservedSolver

from . import jobs
from .failures import warning_failure
from .finding import Failure, Finding, quoted
from .pod_failures import PodKind, task_failures
from .pods import present

TYPE = "BackedUp"
NOT_YET = "NotBackedUpYet"
PODS = PodKind(
    container=names.BACKUP_CONTAINER,
    image="The node pulls the operator's MCQ_OPERATOR_IMAGE with spec.imagePullSecrets: check both, and that the node"
    " reaches the registry.",
    room="Add room on a node, or check spec.storage.backup.scheduling and spec.storage.backup.resources.",
)


def finding(solver: MCQSolver, observed: ObservedSolver) -> Finding | None:
    """Return the condition, if the spec asks for backups."""
    backup = solver.spec.storage.backup
    if backup is None:
        return None
    name, backups = names.backup_name(solver), observed.backups
    if backups is None:
        message = "An object that the backups need could not be applied; the Degraded condition says why."
        return Finding(TYPE, "False", "NotApplied", message)
    if (failed := _failure(backups)) is not None:
        message = f"{failed.message} {_last_good_backup(solver, backups)}"
        return Finding(TYPE, "False", failed.reason, message)
    if succeeded := _succeeded(backups):
        return Finding(TYPE, "True", "BackedUp", f"The last good backup is from {succeeded}.")
    message = (
        f"There is no backup yet; the schedule is {backup.schedule}, in UTC. {_backup_command(solver, name)}"
    )
    return Finding(TYPE, "Unknown", NOT_YET, message)


def _failure(backups: ObservedBackups) -> Failure | None:
    """Return the failure if the last Job failed, or the running one can't work."""
    for job in sorted(backups.jobs, key=_created, reverse=True):
        name = job["metadata"]["name"]
        if (ended := jobs.condition(job, "Failed")) is not None:
            message = jobs.termination_message(backups.pods, name, container=PODS.container) or ended.get(
                "message", ""
            )
            return Failure(reason="BackupFailed", message=f"Job {name} failed: {quoted(message)}")
        if not jobs.running(job):
            return None
        for pod in filter(present, jobs.pods_of(name, backups.pods)):
            for failure in task_failures(pod, PODS):
                return failure
        if backups.warning is not None:
            return warning_failure(backups.warning)
        # A running Job has no result yet: the one before it still counts.
    return None


def _last_good_backup(solver: MCQSolver, backups: ObservedBackups) -> str:
    succeeded = _succeeded(backups)
    last = f"The last good backup is from {succeeded}." if succeeded else "There is no good backup yet."
    return f"{last} {_backup_command(solver, names.backup_name(solver))}"


def _succeeded(backups: ObservedBackups) -> str | None:
    """Return the time of the last good backup."""
    last = backups.cron_job.get("status", {}).get("lastSuccessfulTime", "")
    ends = [job.get("status", {}).get("completionTime", "") for job in backups.jobs]
    return max([last, *ends], default="") or None


def _created(job: Manifest) -> tuple[str, str]:
    """Return a sort key. Times are in whole seconds, so the name breaks ties."""
    metadata = job["metadata"]
    return metadata["creationTimestamp"], metadata["name"]


def _backup_command(solver: MCQSolver, name: str) -> str:
    command = f"kubectl create job -n {solver.namespace} --from=cronjob/{name} {name}-now"
    return f"To back up now: {command}"
