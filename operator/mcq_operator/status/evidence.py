"""Proof of an exam's results: they are in a ConfigMap, which others may have the right to change.

Each Pod of the exam states the digest of its part in its termination message, and the last Pod that of the result,
which has the digests of all parts. Only the kubelet writes that message. A result counts if Pods of its own Job that
ended well have stated it and all its parts. The status keeps its digest, so that the Pods may go.
"""

from collections.abc import Iterable

from pydantic import ValidationError

from mcq_operator.models import Manifest, MCQExam, names
from mcq_operator.models.observed import ObservedExam
from mcq_operator.models.result import Sitting, Statement

from . import jobs
from .failures import Failure
from .pods import containers, present


def proven(exam: MCQExam, observed: ObservedExam, kept: Iterable[Sitting]) -> list[Sitting]:
    """Return the sittings that are what the exam's Pods have stated, now or at an earlier look."""
    return [each for each in kept if _recorded(exam, each.name) == each.digest or _stated(observed, each)]


def problem(exam: MCQExam, observed: ObservedExam, kept: Iterable[Sitting]) -> Failure | None:
    """Return why the result of the last Job, which has ended well, does not count; None if it does, or may yet."""
    job = observed.job
    if job is None or jobs.condition(job, "Complete") is None:
        return None
    name, results = job["metadata"]["name"], names.results_name(exam)
    sitting = next((each for each in kept if each.name == name), None)
    if sitting is None:
        message = f"The result of Job {name} is not in ConfigMap {results}. {again(exam, name)}"
        return Failure(reason="ResultLost", message=message)
    if proven(exam, observed, [sitting]) or any(map(present, _pods(observed, name))):
        # The Job's end was seen before that of its Pods.
        return None
    found = _statements(observed, name)
    said = {each.result for stated in found.values() for each in stated} | {_recorded(exam, name)}
    complete = found.keys() >= {str(shard) for shard in range(len(sitting.result.parts))}
    if said == {None} or (sitting.digest in said and not complete):
        message = (
            f"No Pod proves the result of Job {name}, so it does not count: one is gone, or"
            f" MCQ_OPERATOR_SERVICE_IMAGE is of a release whose Pods state nothing. {again(exam, name)}"
        )
        return Failure(reason="ResultUnproven", message=message)
    message = (
        f"The result of Job {name} in ConfigMap {results} is not what the exam's Pods wrote, so it does not count:"
        f" someone has changed it, or a part of it, meanwhile. See who may:"
        f" kubectl auth can-i patch configmaps -n {exam.namespace} --as=USER. {again(exam, name)}"
    )
    return Failure(reason="ResultAltered", message=message)


def again(exam: MCQExam, job: str | None) -> str:
    """Say how to have an exam sat again."""
    return f"To have it sat again: kubectl delete job -n {exam.namespace} {job}"


def _recorded(exam: MCQExam, sitting: str) -> str | None:
    report = exam.status.report
    return report.digest if report and report.name == sitting else None


def _stated(observed: ObservedExam, sitting: Sitting) -> bool:
    found = _statements(observed, sitting.name)
    results = {each.result for stated in found.values() for each in stated}
    return sitting.digest in results and all(
        part in {each.part for each in found.get(str(shard), [])}
        for shard, part in enumerate(sitting.result.parts)
    )


def _statements(observed: ObservedExam, sitting: str) -> dict[str, list[Statement]]:
    """Return what the Pods of the sitting's Job have stated, by shard; a shard may have had several Pods."""
    found: dict[str, list[Statement]] = {}
    for pod in _pods(observed, sitting):
        for each in containers(pod):
            ended = each.get("state", {}).get("terminated")
            if each["name"] == names.EXAM_CONTAINER and ended and ended.get("exitCode") == 0:
                shard = pod["metadata"].get("annotations", {}).get(names.JOB_INDEX_ANNOTATION, "")
                try:
                    stated = Statement.model_validate_json(ended.get("message", ""))
                except ValidationError:
                    continue
                found.setdefault(shard, []).append(stated)
    return found


def _pods(observed: ObservedExam, sitting: str) -> list[Manifest]:
    """Return the Pods of the exam's own Job of this name, by its uid: anyone may set labels."""
    own = {job["metadata"]["uid"] for job in observed.jobs if job["metadata"]["name"] == sitting}
    return [
        pod
        for pod in observed.pods
        if any(
            ref["uid"] in own for ref in pod["metadata"].get("ownerReferences", []) if ref.get("controller")
        )
    ]
