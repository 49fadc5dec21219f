"""Exams against a real API server with its real controllers: Jobs, rights, and results as the runner writes them."""

import asyncio
import json
import os
import random
import ssl
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.operator.conftest import Bench, Kubectl
from tests.operator.live import apply, existing, kubelet, names_of_pods, patch, until

from mcq_eval import parts
from mcq_eval.errors import ResultsNotStored
from mcq_eval.parts import Part
from mcq_eval.report.rows import Row
from mcq_eval.results import Account, ResultStore, StoredPart
from mcq_eval.verdict import Limits
from mcq_operator.api import ExamKey, Manifest
from mcq_service.api.mcq.schemas import Usage
from mcq_service.api.service.schemas import Identity
from mcq_service.api.service.schemas import LastExam as LastExam

QUESTIONS = {"configMapRef": {"name": "questions"}}
SPEC = {"solverRef": {"name": "demo"}, "questions": QUESTIONS}
IDENTITY = Identity(
    uri="hf://a/b", revision="1", digest="sha256:w", precision="int8", prompt_digest="sha256:p"
)


def sit(kubectl: Kubectl, spec: dict[str, Any], *, name: str = "aqua") -> None:
    exam = {
        "apiVersion": "mcq-operator.dev/v1alpha1",
        "kind": "MCQExam",
        "metadata": {"name": name},
        "spec": {**SPEC, **spec},
    }
    kubectl.server.apply(exam, kubectl.namespace)


def key(bench: Bench) -> ExamKey:
    return ExamKey(bench.namespace, "aqua")


def status(kubectl: Kubectl) -> dict[str, Any]:
    actual: dict[str, Any] = existing(kubectl, "mcqexam", "aqua")["status"]
    return actual


def condition(kubectl: Kubectl, kind: str) -> dict[str, Any]:
    return next(item for item in status(kubectl)["conditions"] if item["type"] == kind)


def jobs(kubectl: Kubectl) -> list[Manifest]:
    actual = kubectl.list("jobs")
    return [job for job in actual if "deletionTimestamp" not in job["metadata"]]


def part(answers: str, *, start: int = 0) -> Part:
    """Questions answered right (x) or wrong (o)."""
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


def results(kubectl: Kubectl, tmp_path: Path, *, exam: str = "aqua", name: str | None = None) -> ResultStore:
    """As a Pod of the exam has them: with a token of its ServiceAccount."""
    actual = yaml.safe_load(kubectl.kubeconfig.read_text())["clusters"][0]["cluster"]
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text(kubectl("create", "token", f"{exam}-exam"))
    if path := actual.get("certificate-authority"):
        authority.write_bytes(Path(path).read_bytes())
    else:
        authority.write_text(
            ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(actual["certificate-authority-data"]))
        )
    account = Account(url=actual["server"], namespace=kubectl.namespace, token_file=token, ca_file=authority)

    async def at_once(_: float) -> None:
        return

    return ResultStore(account, name or f"{exam}-results", sleep=at_once)


async def answered(
    kubectl: Kubectl, tmp_path: Path, answers: Sequence[str], *, limits: Limits | None = None
) -> None:
    """What the Pods of the present Job do, each with its share."""
    (job,) = jobs(kubectl)
    shares = [part(each, start=100 * shard) for shard, each in enumerate(answers)]
    await sat(kubectl, results(kubectl, tmp_path), job["metadata"]["name"], shares, limits=limits)


async def sat(
    kubectl: Kubectl,
    stored: ResultStore,
    sitting: str,
    shares: Sequence[Part],
    *,
    limits: Limits | None = None,
    before: Sequence[Row] | None = None,
    run: str = "job",
) -> list[Part]:
    """Have the Pods of a Job keep these shares, and end; return what the last one read."""
    for shard, each in enumerate(shares):
        whole = await stored.put(sitting, shard, len(shares), each, run=run)
        assert bool(whole.parts) == (shard == len(shares) - 1)
        digest = (
            await published(stored, sitting, whole, limits=limits, before=before) if whole.parts else None
        )
        await ended(kubectl, sitting, shard, {"part": whole.digest, "result": digest})
    await until(lambda: completed(existing(kubectl, "job", sitting)))
    return whole.parts


def completed(job: Manifest) -> bool:
    """Whether the Job's controller has counted the Pods that ended."""
    conditions = job.get("status", {}).get("conditions", [])
    return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)


async def published(
    stored: ResultStore,
    sitting: str,
    whole: StoredPart,
    *,
    limits: Limits | None = None,
    before: Sequence[Row] | None = None,
    history: int = 2,
) -> str:
    """Write the report as the last Pod does, and return its digest."""
    report = parts.build_report(whole.parts, limits=limits or Limits(), before=before)
    return await stored.publish(sitting, report, whole.digests, history=history)


async def ended(kubectl: Kubectl, sitting: str, shard: int, stated: dict[str, str | None]) -> None:
    """Have the Pod of a share end well, as the kubelet tells of it, with what the Pod has stated."""
    job = f"batch.kubernetes.io/job-name={sitting}"
    labels = f"{job},batch.kubernetes.io/job-completion-index={shard}"

    def waiting() -> list[Manifest]:
        return [pod for pod in kubectl.list("pods", labels) if pod["status"]["phase"] == "Pending"]

    await until(waiting)
    terminated = {
        "exitCode": 0,
        "reason": "Completed",
        "message": json.dumps(stated),
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


async def ready(kubectl: Kubectl, bench: Bench) -> None:
    await bench.cluster.discover()
    await bench.settle()
    await kubelet(kubectl, 1)
    # The Deployment's controller may have more to say after it said that all are available.
    for _ in range(10):
        await bench.settle()
        conditions = existing(kubectl, "mcq", "demo")["status"]["conditions"]
        if conditions[0]["status"] == "True":
            return
    message = f"not ready: {conditions[0]}"
    raise AssertionError(message)


async def test_an_exam_waits_for_its_solver_and_runs_in_parallel_pods(kubectl: Kubectl, bench: Bench) -> None:
    sit(kubectl, {"parallelism": 3})
    await bench.settle(key(bench))
    assert condition(kubectl, "Complete")["reason"] == "SolverNotFound"
    apply(kubectl, {"replicas": 1})
    await bench.settle()
    await bench.settle(key(bench))
    assert condition(kubectl, "Complete")["reason"] == "WaitingForSolver"
    assert jobs(kubectl) == []
    await ready(kubectl, bench)
    await bench.settle(key(bench))
    assert condition(kubectl, "Complete")["reason"] == "Sitting"
    (job,) = jobs(kubectl)
    mine = ["-l", "app.kubernetes.io/name=mcq-exam", "-o", "name"]
    await until(lambda: len(kubectl("get", "pods", *mine).split()) == 3)
    assert job["spec"]["completionMode"] == "Indexed"
    for _ in range(3):
        assert await bench.reconcile(key(bench)) == []


async def test_the_pods_result_becomes_the_status_of_exam_and_solver(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    apply(kubectl, {"replicas": 1})
    await ready(kubectl, bench)
    sit(kubectl, {"parallelism": 2, "pass": {"minAccuracy": 0.1, "maxP95Seconds": 1}})
    await bench.settle(key(bench))
    assert (condition(kubectl, "Passed")["status"], condition(kubectl, "Passed")["reason"]) == (
        "Unknown",
        "NotSat",
    )
    limits = Limits(min_accuracy=0.1, max_p95_seconds=1)
    await answered(kubectl, tmp_path, ["xxxo", "xxoo"], limits=limits)
    result = await bench.result(key(bench))
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
    assert await bench.reconcile(key(bench)) == []
    await bench.reconcile()
    assert existing(kubectl, "mcq", "demo")["status"]["exam"]["accuracy"] == 0.625
    assert " 0.625 " in kubectl("get", "mcq")
    reported = json.loads(existing(kubectl, "configmap", "demo-last-exam")["data"]["exam.json"])
    assert (reported["name"], reported["accuracy"], reported["count"]) == ("aqua", 0.625, 8)
    assert LastExam.model_validate(reported).sat.isoformat().startswith(actual["sat"][:19])
    reasons = kubectl("get", "events", "-o", "jsonpath={.items[*].reason}").split()
    assert {"Sat", "Failed"} <= set(reasons)


async def test_an_exam_runs_again_when_changed_replicas_are_ready(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    apply(kubectl, {"replicas": 1})
    await ready(kubectl, bench)
    sit(kubectl, {})
    await bench.settle(key(bench))
    await answered(kubectl, tmp_path, ["xo"])
    await bench.settle(key(bench))
    (first,) = jobs(kubectl)
    kubectl("scale", "mcq", "demo", "--replicas=2")
    await bench.settle()
    await bench.settle(key(bench))
    assert jobs(kubectl)[0]["metadata"]["name"] == first["metadata"]["name"]
    patch(kubectl, "mcq", "demo", {"spec": {"model": {"precision": "float32"}}})
    assert (await bench.result()).requeues == [key(bench)]
    await bench.reconcile(key(bench))
    await until(lambda: jobs(kubectl) == [])
    await bench.reconcile(key(bench))
    assert condition(kubectl, "Complete")["reason"] == "WaitingForSolver"
    assert status(kubectl)["accuracy"] == 0.5  # the last result is still told of,
    await bench.reconcile()
    assert (
        "exam" not in existing(kubectl, "mcq", "demo")["status"]
    )  # but not as what these replicas are worth


async def test_a_deleted_job_runs_again_and_old_reports_are_deleted(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    apply(kubectl, {"replicas": 1})
    await ready(kubectl, bench)
    sit(kubectl, {})
    for change in ({}, {"debias": "none"}, {"debias": "rotations"}):
        sit(kubectl, change)
        await bench.settle(key(bench))
        await until(lambda: len(jobs(kubectl)) == 1)
        await answered(kubectl, tmp_path, ["xo"])
    stored = existing(kubectl, "configmap", "aqua-results")
    assert len([key for key in stored["data"] if key.endswith(".json")]) == 2
    assert len(stored["binaryData"]) == 6  # as text, as a page and as JSON
    assert len(existing(kubectl, "configmap", "aqua-results-0")["binaryData"]) == 2
    await bench.settle(key(bench))
    assert status(kubectl)["accuracy"] == 0.5
    (job,) = jobs(kubectl)
    kubectl("delete", "job", job["metadata"]["name"], "--wait=true")
    await bench.settle(key(bench))
    assert jobs(kubectl)[0]["metadata"]["uid"] != job["metadata"]["uid"]
    await answered(kubectl, tmp_path, ["xx"])
    await bench.settle(key(bench))
    assert status(kubectl)["accuracy"] == 1


def many(count: int, *, start: int = 0) -> Part:
    """Return `count` questions with answers of realistic size."""
    actual = part("x" * count, start=start)
    chance = random.Random(start)
    for row in actual.rows:
        row.digest = chance.randbytes(32).hex()
        first = chance.uniform(0.3, 0.9)
        row.probabilities = [first, *(chance.random() for _ in range(3))]
        row.labels, row.answer_ms = list("ABCD"), chance.uniform(50, 900)
    return actual


async def test_an_exam_of_thousands_of_questions_runs_repeatedly(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    """Each write removes the oldest sittings, so that the last ones always have room."""
    sit(kubectl, {})
    await bench.settle(key(bench))
    stored = results(kubectl, tmp_path)
    for number in range(6):
        whole = await stored.put(f"sat-{number}", 0, 1, many(4000, start=number), run="job", history=5)
        await published(stored, f"sat-{number}", whole, history=5)
    figures = [key for key in existing(kubectl, "configmap", "aqua-results")["data"] if key.endswith(".json")]
    assert len(figures) == 5
    questions = existing(kubectl, "configmap", "aqua-results-0")["binaryData"]
    assert list(questions) == ["sat-4.rows.json.gz", "sat-5.rows.json.gz"]


def report(kubectl: Kubectl, *options: str) -> subprocess.CompletedProcess[str]:
    """As a person asks for it."""
    command = [
        sys.executable,
        "-m",
        "mcq_operator",
        "exam",
        "report",
        "-n",
        kubectl.namespace,
        "aqua",
        *options,
    ]
    environment = {**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


async def test_a_large_exam_has_a_config_map_for_each_shard(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    apply(kubectl, {"replicas": 1})
    await ready(kubectl, bench)
    sit(kubectl, {"parallelism": 3})
    await bench.settle(key(bench))
    (job,) = jobs(kubectl)
    sitting = job["metadata"]["name"]
    shares = [many(4500, start=10_000 * shard) for shard in range(3)]
    assert await sat(kubectl, results(kubectl, tmp_path), sitting, shares) == shares
    await bench.settle(key(bench))
    assert status(kubectl)["report"].items() >= {"name": sitting, "shards": 3}.items()
    sit(kubectl, {"parallelism": 1})  # what the last sitting has left stays
    await bench.settle(key(bench))
    actual = json.loads(report(kubectl, "-o", "json").stdout)
    assert [row["id"] for row in actual["rows"]] == [row.id for share in shares for row in share.rows]
    assert " of 13500; 95 %" in report(kubectl).stdout
    kubectl("delete", "configmap", "aqua-results-2")
    assert f"questions of {sitting} are gone" in report(kubectl, "-o", "json").stderr


async def test_pods_of_an_exam_may_write_to_its_results_and_to_nothing_else(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    sit(kubectl, {})
    await bench.settle(key(bench))
    kubectl("create", "configmap", "other")
    with pytest.raises(ResultsNotStored, match="forbidden"):
        await results(kubectl, tmp_path, name="other").put("x", 0, 1, part("x"), run="job")
    kubectl("create", "configmap", "aqua-results-1")  # of no shard
    with pytest.raises(ResultsNotStored, match="forbidden"):
        await results(kubectl, tmp_path).put("x", 1, 2, part("x"), run="job")
    assert (await results(kubectl, tmp_path).put("x", 0, 1, part("x"), run="job")).parts
    account = f"--as=system:serviceaccount:{kubectl.namespace}:aqua-exam"
    for verb, kind in (
        ("get", "secrets"),
        ("list", "configmaps"),
        ("create", "pods"),
        ("delete", "configmap/aqua-results"),
    ):
        assert kubectl.run("auth", "can-i", verb, kind, account).stdout.strip() == "no"


async def test_questions_of_a_bucket_are_read_with_a_secret_or_an_identity_of_the_pods(
    kubectl: Kubectl, bench: Bench
) -> None:
    apply(kubectl, {"replicas": 1})
    await ready(kubectl, bench)
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/exams"}
    questions = {"uri": "s3://exams/aqua.jsonl", "credentialsSecretRef": {"name": "exams-reader"}}
    sit(kubectl, {"questions": questions, "serviceAccount": {"annotations": role}})
    await bench.settle(key(bench))
    assert role.items() <= existing(kubectl, "serviceaccount", "aqua-exam")["metadata"]["annotations"].items()
    (container,) = jobs(kubectl)[0]["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "exams-reader"}}]


async def test_the_status_quotes_the_pod_when_an_exam_can_not_run(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, {"replicas": 1})
    await ready(kubectl, bench)
    sit(kubectl, {})
    await bench.settle(key(bench))
    mine = ["-l", "app.kubernetes.io/name=mcq-exam", "-o", "jsonpath={.items[*].metadata.name}"]
    await until(lambda: kubectl("get", "pods", *mine).split())
    (pod,) = kubectl("get", "pods", *mine).split()
    said = "error: /etc/mcq-exam/questions.jsonl:3: answer: Field required\n"
    ended = {"exitCode": 2, "message": said, "finishedAt": "2026-01-01T00:00:00Z", "reason": "Error"}
    container = {
        "name": "exam",
        "state": {"terminated": ended},
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

    def failed() -> bool:
        reported = jobs(kubectl)[0].get("status", {}).get("conditions", [])
        return any(each["type"] == "Failed" and each["status"] == "True" for each in reported)

    await until(failed)
    await bench.settle(key(bench))
    for kind in ("Complete", "Degraded"):
        assert condition(kubectl, kind)["reason"] == "ExamUnreadable"
        assert "questions.jsonl:3: answer: Field required" in condition(kubectl, kind)["message"]
        assert "kubectl delete job" in condition(kubectl, kind)["message"]
    assert len(names_of_pods(kubectl)) == 2  # nothing was tried again


async def test_pods_that_a_quota_refuses_are_reported_with_advice(kubectl: Kubectl, bench: Bench) -> None:
    """The Job's controller reports it only in an Event. With the limits that the quota requires, the exam runs."""
    apply(kubectl, {"replicas": 1})
    await ready(kubectl, bench)
    kubectl("create", "quota", "limits", "--hard=limits.cpu=2")
    sit(kubectl, {})
    bench.now = datetime.now(UTC) + timedelta(seconds=30)

    for _ in range(300):
        await bench.settle(key(bench))
        if condition(kubectl, "Degraded")["reason"] == "QuotaExceeded":
            break
        await asyncio.sleep(0.2)
    message = condition(kubectl, "Degraded")["message"]
    assert "must specify limits.cpu" in message
    assert "Set in `resources`" in message
    sit(kubectl, {"resources": {"limits": {"cpu": "500m"}}})
    await bench.settle(key(bench))
    mine = ["-l", "app.kubernetes.io/name=mcq-exam", "-o", "name"]
    await until(lambda: len(kubectl("get", "pods", *mine).split()) == 1)
    await bench.settle(key(bench))
    assert condition(kubectl, "Degraded")["status"] == "False"


async def test_a_schedule_creates_a_cron_job_and_its_removal_deletes_it(
    kubectl: Kubectl, bench: Bench
) -> None:
    apply(kubectl, {"replicas": 1})
    await ready(kubectl, bench)
    sit(kubectl, {"schedule": "0 3 * * 1", "historyLimit": 5})
    await bench.settle(key(bench))
    assert jobs(kubectl) == []
    created = existing(kubectl, "cronjob", "aqua-exam")["spec"]
    assert (created["schedule"], created["successfulJobsHistoryLimit"]) == ("0 3 * * 1", 5)
    assert condition(kubectl, "Complete")["reason"] == "Scheduled"
    kubectl("create", "job", "aqua-by-hand", "--from=cronjob/aqua-exam")
    await bench.settle(key(bench))
    assert condition(kubectl, "Complete")["reason"] == "Sitting"
    patch(kubectl, "mcqexam", "aqua", {"spec": {"schedule": None}})
    await bench.settle(key(bench))
    await until(lambda: kubectl.get("cronjob", "aqua-exam") is None)
    await until(lambda: len(jobs(kubectl)) == 1)


async def test_a_deleted_exam_takes_everything_with_it(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, {"replicas": 1})
    await ready(kubectl, bench)
    sit(kubectl, {})
    await bench.settle(key(bench))
    kubectl("delete", "mcqexam", "aqua", "--timeout=20s")
    assert await bench.reconcile(key(bench)) == []
    kinds = "configmap,serviceaccount,role,rolebinding,job,pods"
    mine = ["-l", "app.kubernetes.io/name=mcq-exam", "-o", "name"]
    await until(lambda: not kubectl("get", kinds, *mine).split(), seconds=60)
    assert existing(kubectl, "mcq", "demo")


async def test_a_foreign_object_is_unchanged(kubectl: Kubectl, bench: Bench) -> None:
    kubectl("create", "configmap", "aqua-results", "--from-literal=theirs=1")
    sit(kubectl, {})
    await bench.settle(key(bench))
    assert existing(kubectl, "configmap", "aqua-results")["data"] == {"theirs": "1"}
    assert condition(kubectl, "Degraded")["reason"] == "Conflict"


@pytest.mark.parametrize(
    ("spec", "said"),
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
def test_an_impossible_value_is_refused_with_advice(
    kubectl: Kubectl, spec: dict[str, Any], said: str
) -> None:
    exam = {
        "apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQExam", "metadata": {"name": "aqua"},
        "spec": {name: value for name, value in {**SPEC, **spec}.items() if value is not None},
    }  # fmt: skip
    refused = kubectl.run("apply", "-f", "-", stdin=json.dumps(exam))
    assert refused.returncode != 0
    assert said in refused.stderr
