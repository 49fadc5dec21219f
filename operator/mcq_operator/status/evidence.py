"""Proof of an exam's results. They are in a ConfigMap, which other users may have the right to change.

Each Pod of the exam writes the digest of its share into its termination message. The last Pod also writes the digest
of the result, which contains the digests of all shares. Only the kubelet writes that message. A result counts if
successful Pods of its own Job stated its digest and the digests of all shares. The status keeps the result's digest,
so that the Pods may be deleted.
"""

from collections.abc import Iterable

from pydantic import ValidationError

from mcq_operator.api import Manifest, MCQExam, names
from mcq_operator.api.observed import ObservedExam
from mcq_operator.api.result import Sitting, Statement

from . import jobs
from .finding import Failure
from .pods import containers, present


def proven(exam: MCQExam, observed: ObservedExam, sittings: Iterable[Sitting]) -> list[Sitting]:
    """Return the sittings that match the statements of the exam's Pods, now or at an earlier reconcile."""
    return [each for each in sittings if _recorded(exam, each.name) == each.digest or _stated(observed, each)]


def problem(exam: MCQExam, observed: ObservedExam, sittings: Iterable[Sitting]) -> Failure | None:
    """Return why the result of the last, successful Job does not count; None if it counts, or may count later."""
    job = observed.job
    if job is None or jobs.condition(job, "Complete") is None:
        return None
    name, results = job["metadata"]["name"], names.results_name(exam)
    sitting = next((each for each in sittings if each.name == name), None)
    if sitting is None:
        message = f"The result of Job {name} is not in ConfigMap {results}. {rerun_advice(exam, name)}"
        return Failure(reason="ResultLost", message=message)
    if proven(exam, observed, [sitting]) or any(map(present, _pods(observed, name))):
        # The event of the Job's end may arrive before those of its Pods.
        return None
    statements = _statements(observed, name)
    results_stated = {each.result for stated in statements.values() for each in stated} | {
        _recorded(exam, name)
    }
    complete = statements.keys() >= {str(shard) for shard in range(len(sitting.result.parts))}
    if results_stated == {None} or (sitting.digest in results_stated and not complete):
        message = (
            f"No Pod proves the result of Job {name}, so it does not count: a Pod is gone, or the release of"
            f" MCQ_OPERATOR_SERVICE_IMAGE is too old to prove results. {rerun_advice(exam, name)}"
        )
        return Failure(reason="ResultUnproven", message=message)
    message = (
        f"The result of Job {name} in ConfigMap {results} differs from the one that the exam's Pods wrote, so it does"
        " not count: someone changed it or a part of it. To check who can:"
        f" kubectl auth can-i patch configmaps -n {exam.namespace} --as=USER. {rerun_advice(exam, name)}"
    )
    return Failure(reason="ResultAltered", message=message)


def rerun_advice(exam: MCQExam, job: str | None) -> str:
    """Return advice with the command that repeats an exam. A gate's candidate is gone with the first result."""
    if exam.parent:
        return "The condition ExamPassed of the solver with the gate says how to run the exam again."
    return f"To run the exam again: kubectl delete job -n {exam.namespace} {job}"


def _recorded(exam: MCQExam, sitting: str) -> str | None:
    report = exam.status.report
    return report.digest if report and report.name == sitting else None


def _stated(observed: ObservedExam, sitting: Sitting) -> bool:
    statements = _statements(observed, sitting.name)
    results = {each.result for stated in statements.values() for each in stated}
    return sitting.digest in results and all(
        part in {each.part for each in statements.get(str(shard), [])}
        for shard, part in enumerate(sitting.result.parts)
    )


def _statements(observed: ObservedExam, sitting: str) -> dict[str, list[Statement]]:
    """Return the statements of the Job's Pods by shard. A shard may have had several Pods."""
    by_shard: dict[str, list[Statement]] = {}
    for pod in _pods(observed, sitting):
        for each in containers(pod):
            ended = each.get("state", {}).get("terminated")
            if each["name"] == names.EXAM_CONTAINER and ended and ended.get("exitCode") == 0:
                shard = pod["metadata"].get("annotations", {}).get(names.JOB_INDEX_ANNOTATION, "")
                try:
                    stated = Statement.model_validate_json(ended.get("message", ""))
                except ValidationError:
                    continue
                by_shard.setdefault(shard, []).append(stated)
    return by_shard


def _pods(observed: ObservedExam, sitting: str) -> list[Manifest]:
    """Return the Pods of the exam's own Job of this name. Compare uids: anyone may set labels."""
    own = {job["metadata"]["uid"] for job in observed.jobs if job["metadata"]["name"] == sitting}
    return [
        pod
        for pod in observed.pods
        if any(
            ref["uid"] in own for ref in pod["metadata"].get("ownerReferences", []) if ref.get("controller")
        )
    ]
