"""The message about an exam's or a backup's Pod names fields of its own resource, and the failed container."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.operator.support import NOON, exam, pod, solver

from mcq_operator import status
from mcq_operator.api import Manifest
from mcq_operator.api.exam import ExamSpec
from mcq_operator.api.observed import ObservedBackups, ObservedExam, ObservedSolver
from mcq_operator.api.solver import SolverSpec

JOB = "sat-1"
SINCE = "2026-01-01T11:00:00Z"
UNSCHEDULABLE: dict[str, Any] = {
    "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu",
}  # fmt: skip


def make_job(**reported: Any) -> Manifest:
    return {"metadata": {"name": JOB, "creationTimestamp": SINCE}, "status": reported}


def make_pod(**reported: Any) -> Manifest:
    job_pod = pod(**reported)
    job_pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] = JOB
    return job_pod


def exam_message(job: Manifest, observed: Manifest) -> str:
    reported = status.exam.of(
        exam(), observed=ObservedExam(solver=solver(), job=job, pods=[observed]), inventory=[], now=NOON
    )
    return next(each.message for each in reported.conditions if each.type == "Complete")


def backup_message(job: Manifest, observed: Manifest) -> str:
    backed_up = solver({"storage": {"backup": {"uri": "s3://b/x", "schedule": "0 3 * * *"}}})
    backups = ObservedBackups(cron_job={}, jobs=[job], pods=[observed])
    finding = status.backup.finding(backed_up, ObservedSolver(backups=backups))
    assert finding is not None
    return finding.message


BOTH = pytest.mark.parametrize(
    ("message_of", "spec", "container"),
    [(exam_message, ExamSpec, "exam"), (backup_message, SolverSpec, "backup")],
)
MessageOf = Callable[[Manifest, Manifest], str]


@BOTH
@pytest.mark.parametrize(
    "reported",
    [
        {"conditions": [UNSCHEDULABLE]},
        {"containerStatuses": [{"name": "exam", "state": {"waiting": {"reason": "ErrImagePull"}}}]},
        {"containerStatuses": [{"name": "backup", "state": {"waiting": {"reason": "InvalidImageName"}}}]},
    ],
)
def test_the_advice_for_a_pod_names_only_fields_of_its_resource(
    message_of: MessageOf, spec: type[Any], container: str, reported: dict[str, Any]
) -> None:
    message = message_of(make_job(), make_pod(**reported))
    assert "demo-1" in message
    names = {field.alias or name for name, field in spec.model_fields.items()}
    own = message.replace("MCQSolver's spec.", "")
    assert {word.split(".")[1].strip(",:;") for word in own.split() if word.startswith("spec.")} <= names


@BOTH
def test_our_containers_message_comes_before_a_later_one_of_a_foreign_container(
    message_of: MessageOf, spec: type[Any], container: str
) -> None:
    failed = make_job(conditions=[{"type": "Failed", "status": "True", "message": "backoff limit"}])
    ours = {"exitCode": 3, "message": "ours", "finishedAt": "2026-01-01T11:00:00Z"}
    theirs = {"exitCode": 2, "message": "theirs", "finishedAt": "2026-01-01T11:00:09Z"}
    proxy = {"name": "proxy", "state": {"terminated": theirs}}
    both = make_pod(containerStatuses=[{"name": container, "state": {"terminated": ours}}, proxy])
    assert f"Job {JOB} failed: ours." in message_of(failed, both)
    killed = {"name": container, "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    assert f"Job {JOB} failed: exit code 137 (OOMKilled)." in message_of(
        failed, make_pod(containerStatuses=[killed])
    )
    only = message_of(failed, make_pod(containerStatuses=[proxy]))
    assert f"Job {JOB} failed: container proxy, which the operator did not add: theirs." in only
