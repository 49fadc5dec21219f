"""Exams on a real API server with its real controllers: Jobs, rights, and results as the runner writes them."""

import asyncio
import json
import random
import ssl
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.operator.conftest import Bench, Kubectl
from tests.operator.live import apply, existing, mark_pods_ready, patch, pod_names, until
from tests.operator.support import run_operator

from mcq_eval import parts
from mcq_eval.config_maps import Account, ConfigMaps
from mcq_eval.errors import ResultsNotStored
from mcq_eval.parts import Part
from mcq_eval.report.rows import Row
from mcq_eval.results import ResultStore, StoredPart
from mcq_eval.verdict import Limits
from mcq_operator.api import ExamKey, Manifest
from mcq_service.api.mcq.answer_schemas import Usage
from mcq_service.api.service.schemas import Identity, LastExam

QUESTIONS = {"configMapRef": {"name": "questions"}}
SPEC = {"solverRef": {"name": "demo"}, "questions": QUESTIONS}
IDENTITY = Identity(
    uri="hf://a/b", revision="1", digest="sha256:w", precision="int8", prompt_digest="sha256:p"
)


def apply_exam(kubectl: Kubectl, spec: dict[str, Any], *, name: str = "aqua") -> None:
    exam = {
        "apiVersion": "mcq-operator.dev/v1alpha1",
        "kind": "MCQExam",
        "metadata": {"name": name},
        "spec": {**SPEC, **spec},
    }
    kubectl.server.apply(exam, kubectl.namespace)


def exam_key(bench: Bench) -> ExamKey:
    return ExamKey(bench.namespace, "aqua")


def status(kubectl: Kubectl) -> dict[str, Any]:
    reported: dict[str, Any] = existing(kubectl, "mcqexam", "aqua")["status"]
    return reported


def condition(kubectl: Kubectl, kind: str) -> dict[str, Any]:
    return next(item for item in status(kubectl)["conditions"] if item["type"] == kind)


def jobs(kubectl: Kubectl) -> list[Manifest]:
    every_job = kubectl.list("jobs")
    return [job for job in every_job if "deletionTimestamp" not in job["metadata"]]


def part(answers: str, *, start: int = 0) -> Part:
    """Return a shard's part with right (x) and wrong (o) answers."""
    rows = [
        Row(
            id=str(start + number), digest=f"d{start + number}", subject=None, labels=["A", "B"], answer="A",
            chosen="A" if answer == "x" else "B", probabilities=[0.7, 0.3] if answer == "x" else [0.3, 0.7],
            abstained=False, answer_ms=1200,
        )
        for number, answer in enumerate(answers)
    ]  # fmt: skip
    return Part(
        target="http://demo", model="a/b", identity=IDENTITY, debias=None, split="all",
        exams={"questions.jsonl": "sha256:e"}, duplicates=[], skipped=[], ended=datetime.now(UTC), seconds=1,
        tokens=Usage(prompt_tokens=1, completion_tokens=0, cached_tokens=0), at_once=8, failures=[], rows=rows,
    )  # fmt: skip


def result_store(
    kubectl: Kubectl, tmp_path: Path, *, exam: str = "aqua", name: str | None = None
) -> ResultStore:
    """Return the exam's result store as its Pods open it: with a token of their ServiceAccount."""
    cluster = yaml.safe_load(kubectl.kubeconfig.read_text())["clusters"][0]["cluster"]
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text(kubectl("create", "token", f"{exam}-exam"))
    if path := cluster.get("certificate-authority"):
        authority.write_bytes(Path(path).read_bytes())
    else:
        authority.write_text(
            ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(cluster["certificate-authority-data"]))
        )
    account = Account(url=cluster["server"], namespace=kubectl.namespace, token_file=token, ca_file=authority)

    async def no_sleep(_: float) -> None:
        return

    return ResultStore(ConfigMaps(account, sleep=no_sleep), name or f"{exam}-results")


async def finish_exam(
    kubectl: Kubectl, tmp_path: Path, answers: Sequence[str], *, limits: Limits | None = None
) -> None:
    """Finish the exam's only Job: one Pod for each string of answers."""
    (job,) = jobs(kubectl)
    shard_parts = [part(each, start=100 * shard) for shard, each in enumerate(answers)]
    await finish_job(
        kubectl, result_store(kubectl, tmp_path), job["metadata"]["name"], shard_parts, limits=limits
    )


async def finish_job(
    kubectl: Kubectl,
    store: ResultStore,
    job_name: str,
    shard_parts: Sequence[Part],
    *,
    limits: Limits | None = None,
    before: Sequence[Row] | None = None,
    run: str = "job",
) -> list[Part]:
    """Store a part for each Pod of a Job and end the Pod; return the parts that the last Pod reads."""
    for shard, each in enumerate(shard_parts):
        stored = await store.put(job_name, shard, len(shard_parts), each, run=run)
        assert bool(stored.parts) == (shard == len(shard_parts) - 1)
        digest = (
            await publish_report(store, job_name, stored, limits=limits, before=before)
            if stored.parts
            else None
        )
        await end_pod(kubectl, job_name, shard, {"part": stored.digest, "result": digest})
    await until(lambda: is_complete(existing(kubectl, "job", job_name)))
    return stored.parts


def is_complete(job: Manifest) -> bool:
    """Return whether the Job's controller has counted the ended Pods."""
    conditions = job.get("status", {}).get("conditions", [])
    return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)


async def publish_report(
    store: ResultStore,
    job_name: str,
    stored: StoredPart,
    *,
    limits: Limits | None = None,
    before: Sequence[Row] | None = None,
    history: int = 2,
) -> str:
    """Publish the report as the last Pod does; return its digest."""
    run_report = parts.build_report(stored.parts, limits=limits or Limits(), before=before)
    return await store.publish(job_name, run_report, stored.digests, history=history)


async def end_pod(kubectl: Kubectl, job_name: str, shard: int, statement: dict[str, str | None]) -> None:
    """End a shard's Pod without an error and with this termination message, as the kubelet reports it."""
    job = f"batch.kubernetes.io/job-name={job_name}"
    labels = f"{job},batch.kubernetes.io/job-completion-index={shard}"

    def waiting() -> list[Manifest]:
        return [pod for pod in kubectl.list("pods", labels) if pod["status"]["phase"] == "Pending"]

    await until(waiting)
    terminated = {
        "exitCode": 0,
        "reason": "Completed",
        "message": json.dumps(statement),
        "finishedAt": "2026-01-01T00:00:00Z",
    }
    container = {
        "name": "exam",
        "state": {"terminated": terminated},
        "ready": False,
        "restartCount": 0,
        "image": "x",
        "imageID": "x",
    }
    status = {"phase": "Succeeded", "containerStatuses": [container]}
    for pod in waiting():
        patch(kubectl, "pod", pod["metadata"]["name"], {"status": status}, subresource="status")


async def make_ready(kubectl: Kubectl, bench: Bench) -> None:
    await bench.cluster.discover()
    await bench.settle()
    await mark_pods_ready(kubectl, 1)
    # The Deployment's controller may change its status again after it reports all replicas available.
    for _ in range(10):
        await bench.settle()
        conditions = existing(kubectl, "mcq", "demo")["status"]["conditions"]
        if conditions[0]["status"] == "True":
            return
    message = f"not ready: {conditions[0]}"
    raise AssertionError(message)


async def test_an_exam_waits_for_its_solver_and_runs_in_parallel_pods(kubectl: Kubectl, bench: Bench) -> None:
    apply_exam(kubectl, {"parallelism": 3})
    await bench.settle(exam_key(bench))
    assert condition(kubectl, "Complete")["reason"] == "SolverNotFound"
    apply(kubectl, {"replicas": 1})
    await bench.settle()
    await bench.settle(exam_key(bench))
    assert condition(kubectl, "Complete")["reason"] == "WaitingForSolver"
    assert jobs(kubectl) == []
    await make_ready(kubectl, bench)
    await bench.settle(exam_key(bench))
    assert condition(kubectl, "Complete")["reason"] == "Sitting"
    (job,) = jobs(kubectl)
    selector = ["-l", "app.kubernetes.io/name=mcq-exam", "-o", "name"]
    await until(lambda: len(kubectl("get", "pods", *selector).split()) == 3)
    assert job["spec"]["completionMode"] == "Indexed"
    for _ in range(3):
        assert await bench.reconcile(exam_key(bench)) == []


async def test_the_pods_result_becomes_the_status_of_exam_and_solver(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    apply(kubectl, {"replicas": 1})
    await make_ready(kubectl, bench)
    apply_exam(kubectl, {"parallelism": 2, "pass": {"minAccuracy": 0.1, "maxP95Seconds": 1}})
    await bench.settle(exam_key(bench))
    assert (condition(kubectl, "Passed")["status"], condition(kubectl, "Passed")["reason"]) == (
        "Unknown",
        "NotSat",
    )
    limits = Limits(min_accuracy=0.1, max_p95_seconds=1)
    await finish_exam(kubectl, tmp_path, ["xxxo", "xxoo"], limits=limits)
    result = await bench.result(exam_key(bench))
    assert list(result.requeues) == [bench.key]
    actual = status(kubectl)
    assert (actual["accuracy"], actual["count"], actual["p95Seconds"]) == (0.625, 8, 1.2)
    assert actual["ci95"]["low"] < 0.625 < actual["ci95"]["high"]
    assert actual["model"] == {
        "uri": "a/b", "digest": "sha256:w", "precision": "int8", "promptDigest": "sha256:p"
    }  # fmt: skip
    assert actual["examDigest"] == "sha256:e"
    assert condition(kubectl, "Complete")["status"] == "True"
    assert "5 of 8 answers are right: 62.5%" in condition(kubectl, "Complete")["message"]
    assert (condition(kubectl, "Passed")["status"], condition(kubectl, "Passed")["reason"]) == (
        "False",
        "Failed",
    )
    assert "more than 1 s" in condition(kubectl, "Passed")["message"]
    line = kubectl("get", "mcqexams").splitlines()[1].split()
    assert line[:6] == [
        "aqua",
        "demo",
        actual["summary"].split()[0],
        actual["summary"].split()[1],
        "8",
        "0.075",
    ]
    assert await bench.reconcile(exam_key(bench)) == []
    await bench.reconcile()
    assert existing(kubectl, "mcq", "demo")["status"]["exam"]["accuracy"] == 0.625
    assert " 0.625 " in kubectl("get", "mcq")
    reported = json.loads(existing(kubectl, "configmap", "demo-last-exam")["data"]["exam.json"])
    assert (reported["name"], reported["accuracy"], reported["count"]) == ("aqua", 0.625, 8)
    assert LastExam.model_validate(reported).sat.isoformat().startswith(actual["sat"][:19])
    reasons = kubectl("get", "events", "-o", "jsonpath={.items[*].reason}").split()
    assert {"Sat", "Failed"} <= set(reasons)


def min_confidence(kubectl: Kubectl) -> str:
    """Return the setting in the template of the replicas."""
    [container] = existing(kubectl, "deployment", "demo")["spec"]["template"]["spec"]["containers"]
    return next(str(each["value"]) for each in container["env"] if each["name"] == "MCQ_MIN_CONFIDENCE")


async def test_an_exam_sets_the_minimum_confidence_once_and_does_not_run_again_for_it(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    apply(kubectl, {"replicas": 1, "answering": {"targetAccuracy": 0.7}})
    await make_ready(kubectl, bench)
    assert min_confidence(kubectl) == "1"
    apply_exam(kubectl, {})
    await bench.settle(exam_key(bench))
    await finish_exam(kubectl, tmp_path, ["x" * 20])
    await bench.settle(exam_key(bench))
    (job,) = jobs(kubectl)
    await bench.reconcile()
    assert min_confidence(kubectl) == "0.0"
    threshold = existing(kubectl, "mcq", "demo")["status"]["threshold"]
    assert (threshold["exam"], threshold["count"], threshold["coverage"]) == ("aqua", 20, 1)
    assert threshold["reportDigest"] == status(kubectl)["report"]["digest"]
    await bench.settle()
    await bench.settle(exam_key(bench))
    assert [each["metadata"]["uid"] for each in jobs(kubectl)] == [job["metadata"]["uid"]]
    assert condition(kubectl, "Complete")["status"] == "True"
    assert min_confidence(kubectl) == "0.0"


async def test_an_exam_runs_again_when_changed_replicas_are_ready(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    apply(kubectl, {"replicas": 1})
    await make_ready(kubectl, bench)
    apply_exam(kubectl, {})
    await bench.settle(exam_key(bench))
    await finish_exam(kubectl, tmp_path, ["xo"])
    await bench.settle(exam_key(bench))
    (first,) = jobs(kubectl)
    kubectl("scale", "mcq", "demo", "--replicas=2")
    await bench.settle()
    await bench.settle(exam_key(bench))
    assert jobs(kubectl)[0]["metadata"]["name"] == first["metadata"]["name"]
    patch(kubectl, "mcq", "demo", {"spec": {"model": {"precision": "float32"}}})
    assert (await bench.result()).requeues == [exam_key(bench)]
    await bench.reconcile(exam_key(bench))
    await until(lambda: jobs(kubectl) == [])
    await bench.reconcile(exam_key(bench))
    assert condition(kubectl, "Complete")["reason"] == "WaitingForSolver"
    assert status(kubectl)["accuracy"] == 0.5  # the exam keeps its last result
    await bench.reconcile()
    assert "exam" not in existing(kubectl, "mcq", "demo")["status"]  # the new replicas have no result


async def test_an_exam_runs_again_when_its_job_is_deleted_and_keeps_the_newest_reports(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    apply(kubectl, {"replicas": 1})
    await make_ready(kubectl, bench)
    apply_exam(kubectl, {})
    for change in ({}, {"debias": "none"}, {"debias": "rotations"}):
        apply_exam(kubectl, change)
        await bench.settle(exam_key(bench))
        await until(lambda: len(jobs(kubectl)) == 1)
        await finish_exam(kubectl, tmp_path, ["xo"])
    stored = existing(kubectl, "configmap", "aqua-results")
    assert len([key for key in stored["data"] if key.endswith(".json")]) == 2
    assert len(stored["binaryData"]) == 6  # as text, as a page and as JSON
    assert len(existing(kubectl, "configmap", "aqua-results-0")["binaryData"]) == 2
    await bench.settle(exam_key(bench))
    assert status(kubectl)["accuracy"] == 0.5
    (job,) = jobs(kubectl)
    kubectl("delete", "job", job["metadata"]["name"], "--wait=true")
    await bench.settle(exam_key(bench))
    assert jobs(kubectl)[0]["metadata"]["uid"] != job["metadata"]["uid"]
    await finish_exam(kubectl, tmp_path, ["xx"])
    await bench.settle(exam_key(bench))
    assert status(kubectl)["accuracy"] == 1


def realistic_part(count: int, *, start: int = 0) -> Part:
    """Return a part with `count` questions and answers of realistic size."""
    realistic = part("x" * count, start=start)
    rng = random.Random(start)
    for row in realistic.rows:
        row.digest = rng.randbytes(32).hex()
        first = rng.uniform(0.3, 0.9)
        row.probabilities = [first, *(rng.random() for _ in range(3))]
        row.labels, row.answer_ms = list("ABCD"), rng.uniform(50, 900)
    return realistic


async def test_an_exam_of_thousands_of_questions_runs_repeatedly(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    """Each write removes the oldest results, so the newest ones always fit."""
    apply_exam(kubectl, {})
    await bench.settle(exam_key(bench))
    store = result_store(kubectl, tmp_path)
    for number in range(6):
        stored = await store.put(
            f"sat-{number}", 0, 1, realistic_part(4000, start=number), run="job", history=5
        )
        await publish_report(store, f"sat-{number}", stored, history=5)
    figures = [key for key in existing(kubectl, "configmap", "aqua-results")["data"] if key.endswith(".json")]
    assert len(figures) == 5
    questions = existing(kubectl, "configmap", "aqua-results-0")["binaryData"]
    assert list(questions) == ["sat-4.rows.json.gz", "sat-5.rows.json.gz"]


def run_report(kubectl: Kubectl, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `mcq_operator exam report`."""
    command = ("exam", "report", "-n", kubectl.namespace, "aqua", *options)
    return run_operator(*command, KUBECONFIG=str(kubectl.kubeconfig))


async def test_a_large_exam_has_a_config_map_for_each_shard(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    apply(kubectl, {"replicas": 1})
    await make_ready(kubectl, bench)
    apply_exam(kubectl, {"parallelism": 3})
    await bench.settle(exam_key(bench))
    (job,) = jobs(kubectl)
    job_name = job["metadata"]["name"]
    shard_parts = [realistic_part(4500, start=10_000 * shard) for shard in range(3)]
    assert await finish_job(kubectl, result_store(kubectl, tmp_path), job_name, shard_parts) == shard_parts
    await bench.settle(exam_key(bench))
    assert status(kubectl)["report"].items() >= {"name": job_name, "shards": 3}.items()
    apply_exam(kubectl, {"parallelism": 1})  # the earlier result stays
    await bench.settle(exam_key(bench))
    actual = json.loads(run_report(kubectl, "-o", "json").stdout)
    assert [row["id"] for row in actual["rows"]] == [
        row.id for shard_part in shard_parts for row in shard_part.rows
    ]
    assert " of 13500; 95 %" in run_report(kubectl).stdout
    kubectl("delete", "configmap", "aqua-results-2")
    assert f"questions of {job_name} are gone" in run_report(kubectl, "-o", "json").stderr


async def test_pods_of_an_exam_may_write_to_its_results_and_to_nothing_else(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    apply_exam(kubectl, {})
    await bench.settle(exam_key(bench))
    kubectl("create", "configmap", "other")
    with pytest.raises(ResultsNotStored, match="forbidden"):
        await result_store(kubectl, tmp_path, name="other").put("x", 0, 1, part("x"), run="job")
    kubectl("create", "configmap", "aqua-results-1")  # belongs to no shard
    with pytest.raises(ResultsNotStored, match="forbidden"):
        await result_store(kubectl, tmp_path).put("x", 1, 2, part("x"), run="job")
    assert (await result_store(kubectl, tmp_path).put("x", 0, 1, part("x"), run="job")).parts
    account = f"--as=system:serviceaccount:{kubectl.namespace}:aqua-exam"
    for verb, kind in (
        ("get", "secrets"),
        ("list", "configmaps"),
        ("create", "pods"),
        ("delete", "configmap/aqua-results"),
    ):
        assert kubectl.run("auth", "can-i", verb, kind, account).stdout.strip() == "no"


async def test_questions_in_a_bucket_are_read_with_a_secret_or_the_pods_identity(
    kubectl: Kubectl, bench: Bench
) -> None:
    apply(kubectl, {"replicas": 1})
    await make_ready(kubectl, bench)
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/exams"}
    questions = {"uri": "s3://exams/aqua.jsonl", "credentialsSecretRef": {"name": "exams-reader"}}
    apply_exam(kubectl, {"questions": questions, "serviceAccount": {"annotations": role}})
    await bench.settle(exam_key(bench))
    assert role.items() <= existing(kubectl, "serviceaccount", "aqua-exam")["metadata"]["annotations"].items()
    (container,) = jobs(kubectl)[0]["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "exams-reader"}}]


async def test_the_status_quotes_the_pod_when_an_exam_can_not_run(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, {"replicas": 1})
    await make_ready(kubectl, bench)
    apply_exam(kubectl, {})
    await bench.settle(exam_key(bench))
    selector = ["-l", "app.kubernetes.io/name=mcq-exam", "-o", "jsonpath={.items[*].metadata.name}"]
    await until(lambda: kubectl("get", "pods", *selector).split())
    (pod,) = kubectl("get", "pods", *selector).split()
    message = "error: /etc/mcq-exam/questions.jsonl:3: answer: Field required\n"
    terminated = {"exitCode": 2, "message": message, "finishedAt": "2026-01-01T00:00:00Z", "reason": "Error"}
    container = {
        "name": "exam",
        "state": {"terminated": terminated},
        "ready": False,
        "restartCount": 0,
        "image": "x",
        "imageID": "x",
    }
    patch(
        kubectl,
        "pod",
        pod,
        {"status": {"phase": "Failed", "containerStatuses": [container]}},
        subresource="status",
    )

    def job_failed() -> bool:
        reported = jobs(kubectl)[0].get("status", {}).get("conditions", [])
        return any(each["type"] == "Failed" and each["status"] == "True" for each in reported)

    await until(job_failed)
    await bench.settle(exam_key(bench))
    for kind in ("Complete", "Degraded"):
        assert condition(kubectl, kind)["reason"] == "ExamUnreadable"
        assert "questions.jsonl:3: answer: Field required" in condition(kubectl, kind)["message"]
        assert "kubectl delete job" in condition(kubectl, kind)["message"]
    assert len(pod_names(kubectl)) == 2  # the Job does not try again


async def test_pods_that_a_quota_refuses_are_reported_with_advice(kubectl: Kubectl, bench: Bench) -> None:
    """The Job's controller reports it only in an Event. With the limits that the quota requires, the exam runs."""
    apply(kubectl, {"replicas": 1})
    await make_ready(kubectl, bench)
    kubectl("create", "quota", "limits", "--hard=limits.cpu=2")
    apply_exam(kubectl, {})
    bench.now = datetime.now(UTC) + timedelta(seconds=30)

    for _ in range(300):
        await bench.settle(exam_key(bench))
        if condition(kubectl, "Degraded")["reason"] == "QuotaExceeded":
            break
        await asyncio.sleep(0.2)
    message = condition(kubectl, "Degraded")["message"]
    assert "must specify limits.cpu" in message
    assert "Set in `resources`" in message
    apply_exam(kubectl, {"resources": {"limits": {"cpu": "500m"}}})
    await bench.settle(exam_key(bench))
    selector = ["-l", "app.kubernetes.io/name=mcq-exam", "-o", "name"]
    await until(lambda: len(kubectl("get", "pods", *selector).split()) == 1)
    await bench.settle(exam_key(bench))
    assert condition(kubectl, "Degraded")["status"] == "False"


async def test_a_schedule_creates_a_cron_job_and_its_removal_deletes_it(
    kubectl: Kubectl, bench: Bench
) -> None:
    apply(kubectl, {"replicas": 1})
    await make_ready(kubectl, bench)
    apply_exam(kubectl, {"schedule": "0 3 * * 1", "historyLimit": 5})
    await bench.settle(exam_key(bench))
    assert jobs(kubectl) == []
    cron_job = existing(kubectl, "cronjob", "aqua-exam")["spec"]
    assert (cron_job["schedule"], cron_job["successfulJobsHistoryLimit"]) == ("0 3 * * 1", 5)
    assert condition(kubectl, "Complete")["reason"] == "Scheduled"
    kubectl("create", "job", "aqua-by-hand", "--from=cronjob/aqua-exam")
    await bench.settle(exam_key(bench))
    assert condition(kubectl, "Complete")["reason"] == "Sitting"
    digest = existing(kubectl, "mcq", "demo")["status"]["templateDigest"]
    assert jobs(kubectl)[0]["metadata"]["annotations"]["mcq-operator.dev/template-digest"] == digest
    patch(kubectl, "mcqexam", "aqua", {"spec": {"schedule": None}})
    await bench.settle(exam_key(bench))
    await until(lambda: kubectl.get("cronjob", "aqua-exam") is None)
    await until(lambda: len(jobs(kubectl)) == 1)


async def test_deleting_an_exam_deletes_its_objects(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, {"replicas": 1})
    await make_ready(kubectl, bench)
    apply_exam(kubectl, {})
    await bench.settle(exam_key(bench))
    kubectl("delete", "mcqexam", "aqua", "--timeout=20s")
    assert await bench.reconcile(exam_key(bench)) == []
    kinds = "configmap,serviceaccount,role,rolebinding,job,pods"
    selector = ["-l", "app.kubernetes.io/name=mcq-exam", "-o", "name"]
    await until(lambda: not kubectl("get", kinds, *selector).split(), seconds=60)
    assert existing(kubectl, "mcq", "demo")


async def test_a_foreign_config_map_is_unchanged_and_reported(kubectl: Kubectl, bench: Bench) -> None:
    kubectl("create", "configmap", "aqua-results", "--from-literal=theirs=1")
    apply_exam(kubectl, {})
    await bench.settle(exam_key(bench))
    assert existing(kubectl, "configmap", "aqua-results")["data"] == {"theirs": "1"}
    assert condition(kubectl, "Degraded")["reason"] == "Conflict"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"questions": {}}, "give either questions.configMapRef or questions.uri"),
        (
            {"questions": {**QUESTIONS, "uri": "https://x/y"}},
            "give either questions.configMapRef or questions.uri",
        ),
        (
            {"questions": {"uri": "ftp://x/y"}},
            "uri must be https://<host>/<path>, s3://<bucket>/<key> or pvc://",
        ),
        ({"questions": {"uri": "pvc://claim/../x"}}, "uri must be https://<host>/<path>"),
        (
            {"questions": {"uri": "https://x/y", "credentialsSecretRef": {"name": "s"}}},
            "for an s3:// uri only",
        ),
        ({"questions": {**QUESTIONS, "digest": "sha256:1"}}, "64 lower-case hexadecimal digits"),
        ({"schedule": "now"}, "schedule must be a cron expression of five fields"),
        ({"parallelism": 0}, "greater than or equal to 1"),
        ({"pass": {"minAccuracy": 1.5}}, "less than or equal to 1"),
        ({"pass": {"maxP95Seconds": 0}}, "greater than 0"),
        ({"solverRef": None}, "spec.solverRef: Required value"),
    ],
)
def test_an_invalid_value_is_refused_with_advice(
    kubectl: Kubectl, spec: dict[str, Any], message: str
) -> None:
    exam = {
        "apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQExam", "metadata": {"name": "aqua"},
        "spec": {name: value for name, value in {**SPEC, **spec}.items() if value is not None},
    }  # fmt: skip
    refused = kubectl.run("apply", "-f", "-", stdin=json.dumps(exam))
    assert refused.returncode != 0
    assert message in refused.stderr
