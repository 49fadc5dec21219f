"""A result counts if the exam's own Pods prove it; write access to ConfigMaps proves nothing."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.operator import support
from tests.operator.status.test_result import RESULT
from tests.operator.support import NOON, solver

from mcq_operator import desired, status
from mcq_operator.api import API_VERSION, ExamStatus, Manifest, MCQExam
from mcq_operator.api.exam_status import ReportRef
from mcq_operator.api.names import TEMPLATE_DIGEST_ANNOTATION
from mcq_operator.api.observed import ObservedExam

JOB = "aqua-1"
PARTS = ["sha256:p0", "sha256:p1"]
INDEX = "batch.kubernetes.io/job-completion-index"


def result_text(**changes: Any) -> str:
    """Return a result of two shards."""
    return json.dumps({**RESULT, "shards": 2, "parts": PARTS, **changes})


TEXT = result_text()
FORGED = result_text(created="2027-01-01T12:00:00Z")


def digest(content: str) -> str:
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def exam(reported: ExamStatus | None = None, **spec: Any) -> MCQExam:
    status = reported.model_dump(by_alias=True, exclude_none=True) if reported else {}
    return support.exam({"pass": {"minAccuracy": 0.5}, **spec}, status=status)


def make_job(uid: str = "j", *, ended: bool = True) -> Manifest:
    conditions = [{"type": "Complete", "status": "True"}] if ended else []
    return {
        "metadata": {"name": JOB, "uid": uid, "creationTimestamp": "2026-01-01T11:00:00Z"},
        "status": {"conditions": conditions, "succeeded": 2 if ended else 1},
    }


def ended_pod(
    shard: int,
    part: str,
    result: str | None = None,
    *,
    owner: str = "j",
    code: int = 0,
    message: str | None = None,
) -> Manifest:
    """Return a Pod that has ended with a termination message."""
    statement = json.dumps({"part": part, "result": result}) if message is None else message
    ended = {"exitCode": code, "message": statement}
    return {
        "metadata": {
            "name": f"{JOB}-{shard}",
            "annotations": {INDEX: str(shard)},
            "ownerReferences": [{"kind": "Job", "name": JOB, "uid": owner, "controller": True}],
        },
        "status": {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [{"name": "exam", "state": {"terminated": ended}}],
        },
    }


GOOD = [ended_pod(0, PARTS[0]), ended_pod(1, PARTS[1], digest(TEXT))]
RUNNING: Manifest = {
    "metadata": {"name": "r", "ownerReferences": [{"uid": "j", "controller": True}]},
    "status": {"phase": "Running"},
}


def next_status(
    pods: Sequence[Manifest],
    stored: str | None = TEXT,
    *,
    known: ExamStatus | None = None,
    ended: bool = True,
    **more: Any,
) -> ExamStatus:
    """Return the exam's status after one observation."""
    data = {} if stored is None else {f"{JOB}.json": stored}
    job = make_job(ended=ended)
    observed = ObservedExam(
        **{
            "solver": solver(),
            "job": job,
            "jobs": [job],
            "results": {"data": data},
            "pods": [*pods],
            **more,
        }
    )
    return status.exam.of(exam(known), observed=observed, inventory=[], now=NOON)


def scheduled_status(
    digest: str | None, *, current: str | None, known: ExamStatus | None = None
) -> ExamStatus:
    """Return a scheduled exam's status after a sitting of the replicas with `digest`; now `current` answers."""
    job = make_job()
    job["metadata"]["annotations"] = {} if digest is None else {TEMPLATE_DIGEST_ANNOTATION: digest}
    observed = ObservedExam(
        solver=None if current is None else solver(status={"templateDigest": current}),
        job=job,
        jobs=[job],
        results={"data": {f"{JOB}.json": TEXT}},
        pods=GOOD,
    )
    return status.exam.of(exam(known, schedule="@daily"), observed=observed, inventory=[], now=NOON)


def condition(reported: ExamStatus, kind: str = "Complete") -> tuple[str, str]:
    return next((each.status, each.reason) for each in reported.conditions if each.type == kind)


def test_a_result_that_its_pods_prove_counts_and_its_digest_is_recorded() -> None:
    reported = next_status(GOOD)
    assert (condition(reported), condition(reported, "Passed")) == (("True", "Sat"), ("True", "Passed"))
    assert reported.report == ReportRef(config_map="aqua-results", name=JOB, shards=2, digest=digest(TEXT))


POINT = {"min_confidence": 0.51, "coverage": 0.5, "accuracy": 0.95, "interval": [0.89999, 0.98]}
"""A low end that must not be rounded up: 0.9 is not reached."""


def test_the_status_has_the_curve_of_a_proven_result_alone() -> None:
    text = result_text(figures={**RESULT["figures"], "risk_coverage": [POINT]})
    pods = [GOOD[0], ended_pod(1, PARTS[1], digest(text))]
    [point] = next_status(pods, text).risk_coverage or []
    assert (point.min_confidence, point.coverage, point.interval.low) == (0.51, 0.5, 0.8999)
    assert next_status(GOOD, text).risk_coverage is None, "a user has changed it"
    assert next_status(GOOD).risk_coverage is None, "an older release writes none"


def test_a_recorded_result_counts_without_its_pods() -> None:
    assert next_status([], known=next_status(GOOD)) == next_status(GOOD)


@pytest.mark.parametrize(
    ("pods", "stored", "reason"),
    [
        (GOOD, FORGED, "ResultAltered"),
        # The last Pod read another part than the first Pod wrote.
        ([ended_pod(0, "sha256:other"), GOOD[1]], TEXT, "ResultAltered"),
        (GOOD, None, "ResultLost"),
        (GOOD, "{}", "ResultLost"),
        ([], TEXT, "ResultUnproven"),
        ([GOOD[1]], TEXT, "ResultUnproven"),
        # A failed Pod, a Pod of another Job and an invalid statement prove nothing.
        ([GOOD[0], ended_pod(1, PARTS[1], digest(TEXT), code=1)], TEXT, "ResultUnproven"),
        ([GOOD[0], ended_pod(1, PARTS[1], digest(TEXT), owner="theirs")], TEXT, "ResultUnproven"),
        ([GOOD[0], ended_pod(1, "", message="[" * 9999)], TEXT, "ResultUnproven"),
    ],
)
def test_a_result_without_proof_does_not_count_and_the_condition_says_why(
    pods: Sequence[Manifest], stored: str | None, reason: str
) -> None:
    reported = next_status(pods, stored)
    assert condition(reported) == ("False", reason)
    assert condition(reported, "Degraded") == ("True", reason)
    assert condition(reported, "Passed") == ("Unknown", "NotSat")
    assert (reported.accuracy, reported.report) == (None, None)
    message = next(each.message for each in reported.conditions if each.type == "Complete")
    assert f"kubectl delete job -n team {JOB}" in message


def test_a_scheduled_result_is_that_of_the_replicas_that_answered() -> None:
    jobs = desired.exam.objects(
        exam(schedule="@daily"), solver(status={"templateDigest": "old"}), service_image="x"
    )[-1]["spec"]["jobTemplate"]
    assert jobs["metadata"]["annotations"] == {TEMPLATE_DIGEST_ANNOTATION: "old"}
    result = scheduled_status("old", current="old")
    assert result.template_digest == "old"
    assert scheduled_status("old", current="new", known=result).template_digest == "old"


@pytest.mark.parametrize(("digest", "current"), [("old", "new"), (None, "new"), ("old", None)])
def test_a_scheduled_result_counts_for_no_replicas_if_they_changed_meanwhile(
    digest: str | None, current: str | None
) -> None:
    result = scheduled_status(digest, current=current)
    assert (result.template_digest, condition(result)) == ("", ("True", "Sat"))
    assert scheduled_status(digest, current="old", known=result).template_digest == ""


def test_a_recorded_result_does_not_count_after_a_change() -> None:
    assert condition(next_status([], FORGED, known=next_status(GOOD))) == ("False", "ResultAltered")


def test_the_pod_that_succeeded_proves_a_repeated_shard() -> None:
    killed, other = ended_pod(0, "sha256:lost", digest(FORGED), code=137), ended_pod(0, "sha256:twice")
    assert condition(next_status([killed, other, *GOOD])) == ("True", "Sat")


def test_a_job_that_ends_before_its_pods_is_not_a_failure() -> None:
    reported = next_status([GOOD[0], RUNNING])
    assert (condition(reported), condition(reported, "Degraded")[0]) == (("False", "Sitting"), "False")


def test_a_result_of_no_job_of_the_exam_is_ignored() -> None:
    """The ConfigMap has a later result under another key."""
    results = {"data": {f"{JOB}.json": TEXT, "zz.json": FORGED}}
    reported = next_status(GOOD, results=results)
    assert reported.report is not None
    assert reported.report.name == JOB
    assert condition(next_status(GOOD, FORGED, ended=False)) == ("False", "Sitting")


def test_a_restored_result_is_shown_without_proof() -> None:
    reported = next_status([], job=None, jobs=[], restored=JOB)
    assert (condition(reported), condition(reported, "Passed")) == (
        ("True", "Restored"),
        ("Unknown", "Restored"),
    )
    assert reported.accuracy == 0.75
    assert reported.report is not None
    assert reported.report.digest is None


def test_a_restored_annotation_does_not_stop_a_gates_exam() -> None:
    replicas = solver(status={"templateDigest": "t"})
    own = exam()
    marked = {"mcq-operator.dev/restored": desired.exam.mark(own, JOB, "t")}
    stored = {"metadata": {"annotations": marked}, "data": {f"{JOB}.json": TEXT}}
    assert desired.exam.restored(own, replicas, stored) == JOB
    owner = {
        "apiVersion": "mcq-operator.dev/v1alpha1",
        "kind": "MCQSolver",
        "name": "demo",
        "uid": "s",
        "controller": True,
    }
    gates = support.exam(own.spec.model_dump(by_alias=True), ownerReferences=[owner])
    assert desired.exam.restored(gates, replicas, stored) is None


@pytest.mark.parametrize(("stored", "read"), [(10_000, 64), (65, 64), (64, 64), (3, 3), (-1, 0)])
def test_a_stored_number_of_shards_names_no_more_config_maps_than_an_exam_can_have(
    stored: int, read: int
) -> None:
    report = {"configMap": "aqua-results", "name": JOB, "shards": stored}
    resource = exam(ExamStatus.model_validate({"report": report}), parallelism=1)
    names = desired.exam.result_names(resource)
    assert len(names) == 1 + max(read, 1)
    assert resource.status.report is not None
    assert resource.status.report.shards == read


def test_the_pods_get_the_baseline_with_its_digest() -> None:
    report = ReportRef(config_map="aqua-results", name=JOB, shards=2, digest="sha256:r")
    compared = exam(baselineRef={"name": "aqua"})
    job = desired.exam.objects(compared, solver(), baseline=report, service_image="x")[-1]
    pod = job["spec"]["template"]["spec"]
    assert {"--before=/etc/mcq-baseline", "--before-digest=sha256:r"} <= {*pod["containers"][0]["args"]}
    sources = next(each["projected"]["sources"] for each in pod["volumes"] if each["name"] == "baseline")
    actual = [(each["configMap"]["name"], each["configMap"]["items"][0]) for each in sources]
    assert actual == [
        ("aqua-results", {"key": f"{JOB}.json", "path": "result.json"}),
        ("aqua-results-0", {"key": f"{JOB}.rows.json.gz", "path": "0.json.gz"}),
        ("aqua-results-1", {"key": f"{JOB}.rows.json.gz", "path": "1.json.gz"}),
    ]


CANDIDATES: dict[str, Any] = {
    "ownerReferences": [
        {"apiVersion": API_VERSION, "kind": "MCQSolver", "name": "demo", "uid": "s", "controller": True}
    ]
}


def test_the_last_status_of_a_gates_exam_outlives_its_candidate() -> None:
    """The candidate is deleted after a refusal, and people ask for the cause."""
    running = next_status([], stored=None, ended=False)
    failed = [{"type": "Failed", "status": "True", "message": "out of memory"}]
    job = {**make_job(), "status": {"conditions": failed}}
    for known in running, next_status([], stored=None, job=job, jobs=[job]):
        own = support.exam(status=known.model_dump(by_alias=True, exclude_none=True), **CANDIDATES)
        reported = status.exam.of(own, observed=ObservedExam(solver=None), inventory=[], now=NOON)
        assert reported.conditions == known.conditions
        # The next attempt's candidate may have the same replicas, and needs its own result.
        assert reported.template_digest == ""


def test_only_the_gate_creates_its_candidate() -> None:
    for metadata, advised in (({}, True), (CANDIDATES, False)):
        own = support.exam(**metadata)
        reported = status.exam.of(own, observed=ObservedExam(solver=None), inventory=[], now=NOON)
        message = next(each.message for each in reported.conditions if each.type == "Complete")
        assert condition(reported) == ("False", "SolverNotFound")
        assert ("create it" in message) is advised
