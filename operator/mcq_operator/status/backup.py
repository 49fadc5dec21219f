"""Whether the namespace is backed up: what became of the last Job that was to do it."""

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.observed import Observed, ObservedBackups

from . import jobs
from .failures import PodKind, quoted, task_failures, warning_failure
from .finding import Finding
from .pods import present

TYPE = "BackedUp"
NOT_YET = "NotBackedUpYet"
PODS = PodKind(
    container=names.BACKUP_CONTAINER,
    image="The image is the operator's MCQ_OPERATOR_IMAGE, pulled with spec.imagePullSecrets: check both, and that the"
    " node reaches the registry.",
    room="No field of the spec places it: add room on a node without taints.",
)


def finding(solver: MCQSolver, observed: Observed) -> Finding | None:
    """The condition, where the spec asks for backups."""
    backup = solver.spec.storage.backup
    if backup is None:
        return None
    name, seen = names.backup_name(solver), observed.backups
    if seen is None:
        message = "What is to make the backups could not be applied; the Degraded condition says why."
        return Finding(TYPE, "False", "NotApplied", message)
    if (failed := _failure(seen)) is not None:
        reason, message = failed
        return Finding(TYPE, "False", reason, f"{message} {_good(solver, seen)}")
    if succeeded := _succeeded(seen):
        return Finding(TYPE, "True", "BackedUp", f"The last good backup is of {succeeded}.")
    message = f"No backup has been made yet; the schedule is {backup.schedule}, in UTC. {_now(solver, name)}"
    return Finding(TYPE, "Unknown", NOT_YET, message)


def _failure(seen: ObservedBackups) -> tuple[str, str] | None:
    """Why the last Job made none, or the running one makes none: reason and message."""
    for job in sorted(seen.jobs, key=_made, reverse=True):
        name = job["metadata"]["name"]
        if (ended := jobs.condition(job, "Failed")) is not None:
            words = jobs.last_words(seen.pods, name, container=PODS.container) or ended.get("message", "")
            return "BackupFailed", f"Job {name} failed: {quoted(words)}"
        if not jobs.running(job):
            return None
        for pod in filter(present, jobs.pods_of(name, seen.pods)):
            for failure in task_failures(pod, PODS):
                return failure.reason, failure.message
        if seen.warning is not None:
            failure = warning_failure(seen.warning)
            return failure.reason, failure.message
        # Of one that only runs nothing is known yet: what the one before it came to still holds.
    return None


def _good(solver: MCQSolver, seen: ObservedBackups) -> str:
    succeeded = _succeeded(seen)
    last = f"The last good backup is of {succeeded}." if succeeded else "There is no good backup yet."
    return f"{last} {_now(solver, names.backup_name(solver))}"


def _succeeded(seen: ObservedBackups) -> str | None:
    """When a backup was made last."""
    told = seen.cron_job.get("status", {}).get("lastSuccessfulTime", "")
    ends = [job.get("status", {}).get("completionTime", "") for job in seen.jobs]
    return max([told, *ends], default="") or None


def _made(job: Manifest) -> tuple[str, str]:
    """Times are in whole seconds."""
    metadata = job["metadata"]
    return metadata["creationTimestamp"], metadata["name"]


def _now(solver: MCQSolver, name: str) -> str:
    command = f"kubectl create job -n {solver.namespace} --from=cronjob/{name} {name}-now"
    return f"To have one made now: {command}"
