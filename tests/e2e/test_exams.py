"""Exams on the real cluster: Pods ask the real model, and statuses and reports show the result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.e2e.conftest import HOST, NAME, NAMESPACE
from tests.e2e.support import eventually, pod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed
    from tests.e2e.conftest import Solver

pytestmark = pytest.mark.slow
COUNT = 24
IN_NAMESPACE = f"--namespace={NAMESPACE}"


def questions() -> str:
    """Return arithmetic questions with the correct label in turn A to D."""
    rows = []
    for number in range(COUNT):
        right = 2 * number + 3
        choices = [str(right + 7 * (choice - number % 4)) for choice in range(4)]
        subject = "small" if number < COUNT // 2 else "large"
        question = f"What is {number} + {number + 3}?"
        row = {"id": f"sum/{number}", "subject": subject, "question": question, "choices": choices}
        rows.append(json.dumps({**row, "answer": "ABCD"[number % 4]}))
    return "\n".join(rows) + "\n"


def apply_exam(solver: Solver, name: str, **spec: Any) -> None:
    exam = {
        "apiVersion": "mcq-operator.dev/v1alpha1",
        "kind": "MCQExam",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"solverRef": {"name": NAME}, **spec},
    }
    solver.kubectl("apply", "--filename", "-", stdin=json.dumps(exam))


def condition(solver: Solver, exam: str, kind: str) -> dict[str, Any]:
    conditions = solver.get("mcqexam", exam).get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


@pytest.fixture(scope="module")
def sums(solver: Solver) -> Iterator[str]:
    """Yield an exam from a ConfigMap; two Pods completed it, and one of them was killed meanwhile.

    Beside each runs a sidecar that never ends, as a mesh's proxy.
    """
    text = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "sums", "namespace": NAMESPACE},
            "data": {"sums.jsonl": questions()},
        }
    )
    solver.kubectl("apply", "--filename", "-", stdin=text)
    proxy = {**pod(solver.kubectl, NAMESPACE, "proxy")["spec"]["containers"][0], "name": "proxy"}
    apply_exam(
        solver,
        "sums",
        questions={"configMapRef": {"name": "sums", "key": "sums.jsonl"}},
        parallelism=2,
        podTemplate={"sidecars": [proxy]},
        # The limit is below the rate of guessing, because the model's arithmetic is not under test.
        **{"pass": {"minAccuracy": 0.1, "maxP95Seconds": 600}},
    )
    selector = ["pods", "-l", "app.kubernetes.io/name=mcq-exam,batch.kubernetes.io/job-completion-index=1"]
    eventually(
        lambda: any(pod["status"]["phase"] == "Running" for pod in solver.get(*selector)["items"]),
        seconds=60,
        what="the second share is asked",
    )
    solver.kubectl(IN_NAMESPACE, "delete", *selector, "--grace-period=0", "--force")
    eventually(
        lambda: condition(solver, "sums", "Complete").get("status") == "True",
        seconds=300,
        what="the exam is sat",
    )
    yield "sums"
    solver.kubectl(IN_NAMESPACE, "delete", "mcqexam", "sums", "--ignore-not-found")


def test_each_question_counts_once_after_a_pod_is_lost(solver: Solver, sums: str) -> None:
    status = solver.get("mcqexam", sums)["status"]
    assert (status["count"], status["unanswered"]) == (COUNT, 0)
    assert status["model"]["digest"].startswith("sha256:")
    assert status["model"]["promptDigest"].startswith("sha256:")
    assert condition(solver, sums, "Passed")["reason"] == "Passed"


def test_the_solvers_status_shows_the_exams_result(solver: Solver, sums: str) -> None:
    exam = solver.get("mcqexam", sums)["status"]
    eventually(lambda: "exam" in solver.get("mcq", NAME)["status"], seconds=10)
    reported = solver.get("mcq", NAME)["status"]["exam"]
    assert reported == {
        "name": sums, "accuracy": exam["accuracy"], "ci95": exam["ci95"], "count": COUNT, "sat": exam["sat"]
    }  # fmt: skip
    assert exam["summary"] in solver.kubectl(IN_NAMESPACE, "get", "mcqexams")


def test_the_report_prints_tables_json_and_a_page(deployed: Deployed, solver: Solver, sums: str) -> None:
    def report(*options: str) -> str:
        command = [sys.executable, "-m", "mcq_operator", "exam", "report", "-n", NAMESPACE, sums, *options]
        environment = {**os.environ, "KUBECONFIG": str(deployed.provider.kubeconfig())}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    accuracy = solver.get("mcqexam", sums)["status"]["accuracy"]
    assert f"{accuracy:.3f}" in report()
    printed = json.loads(report("-o", "json"))
    assert [row["id"] for row in printed["rows"]] == [f"sum/{number}" for number in range(COUNT)]
    right = [row for row in printed["rows"] if row["chosen"] == row["answer"]]
    assert accuracy == pytest.approx(len(right) / COUNT, abs=1e-4)
    assert {name: each["total"] for name, each in printed["figures"]["subjects"].items()} == {
        "small": COUNT // 2,
        "large": COUNT // 2,
    }
    assert "<!doctype html>" in report("-o", "html")


@pytest.mark.parametrize(
    ("name", "questions", "message"),
    [
        ("absent", {"uri": f"http://{NAME}.{NAMESPACE}.svc/no-such-file"}, "answers 404"),
        (
            "other",
            {"configMapRef": {"name": "sums", "key": "sums.jsonl"}, "digest": "sha256:" + "0" * 64},
            "has the digest",
        ),
    ],
)
def test_missing_or_changed_questions_are_reported_and_not_retried(
    solver: Solver, sums: str, name: str, questions: dict[str, Any], message: str
) -> None:
    apply_exam(solver, name, questions=questions)
    try:
        eventually(
            lambda: condition(solver, name, "Complete").get("reason") == "ExamUnreadable",
            seconds=60,
            what=f"{name} can't be sat",
        )
        assert message in condition(solver, name, "Complete")["message"]
        pods = solver.get("pods", "-l", f"app.kubernetes.io/instance={name}")["items"]
        assert len(pods) == 1
    finally:
        solver.kubectl(IN_NAMESPACE, "delete", "mcqexam", name)


def change_gated_solver(solver: Solver, change: dict[str, Any], reason: str) -> dict[str, Any]:
    """Change the solver or its gate; return the gate's condition once it has this reason."""
    solver.kubectl(
        IN_NAMESPACE, "patch", "mcq", NAME, "--type=merge", "--patch", json.dumps({"spec": change})
    )

    def gate_condition() -> dict[str, Any]:
        status = solver.get("mcq", NAME)["status"]
        conditions: list[dict[str, Any]] = status["conditions"]
        condition = next((each for each in conditions if each["type"] == "ExamPassed"), {})
        current = status["observedGeneration"] == solver.get("mcq", NAME)["metadata"]["generation"]
        return condition if current and condition.get("reason") == reason else {}

    eventually(gate_condition, seconds=300, what=f"the gate says {reason}")
    return gate_condition()


def image_and_precision(solver: Solver) -> tuple[str, str]:
    [container] = solver.get("deployment", NAME)["spec"]["template"]["spec"]["containers"]
    values = {each["name"]: each["value"] for each in container["env"]}
    return container["image"], values["MCQ_MODEL_PRECISION"]


def test_the_gate_promotes_an_equal_change_and_stops_a_worse_one(solver: Solver, sums: str) -> None:
    image, before = image_and_precision(solver)
    assert before == "auto"
    gate = {"examRef": {"name": sums}, "maxRegression": 0.5}
    # int8 is the effective value of auto on this machine: a new spec with the same answers.
    gate_condition = change_gated_solver(
        solver, {"rollout": {"gate": gate}, "model": {"precision": "int8"}}, "Passed"
    )
    assert gate_condition["status"] == "True"
    assert "0 right only before and 0 only now" in gate_condition["message"]
    solver.wait_ready()
    assert image_and_precision(solver) == (image, "int8")
    eventually(
        lambda: condition(solver, sums, "Complete").get("status") == "True",
        seconds=300,
        what="the promoted replicas have sat it",
    )
    change = {"rollout": {"gate": {**gate, "maxCalibrationError": 0}}, "answering": {"debias": "none"}}
    gate_condition = change_gated_solver(solver, change, "ExamNotPassed")
    assert gate_condition["status"] == "False"
    assert "is more than 0" in gate_condition["message"]
    assert solver.get("mcq", NAME)["status"]["answering"]
    eventually(lambda: f"{NAME}-candidate" not in solver.kubectl(IN_NAMESPACE, "get", "mcq"), seconds=60)
    back = {"rollout": {"gate": None}, "answering": {"debias": "prior"}}
    solver.kubectl(IN_NAMESPACE, "patch", "mcq", NAME, "--type=merge", "--patch", json.dumps({"spec": back}))
    solver.wait_ready()
    assert image_and_precision(solver) == (image, "int8")


def abstentions() -> int:
    """Ask sixty questions, as a user; return how many were not answered."""
    asked = [json.loads(line) for line in questions().splitlines()] * 3
    names = ("question", "choices")
    batch = [{**{name: each[name] for name in names}, "mode": "answer"} for each in asked[:60]]
    # Not every resolver knows the names below localhost.
    response = httpx.post(
        "http://127.0.0.1:8080/api/v1/mcq/answers",
        headers={"Host": HOST},
        json={"questions": batch},
        timeout=300,
    )
    return sum(each["answer"]["abstained"] for each in response.raise_for_status().json()["results"])


def test_a_promoted_change_that_abstains_more_is_withdrawn(solver: Solver, sums: str) -> None:
    """An exam measures at every confidence, so the change passes, and only users notice."""
    assert abstentions() == 0
    gate = {"examRef": {"name": sums}, "maxRegression": 0.5, "watch": {"seconds": 60}}
    change = {"rollout": {"gate": gate}, "answering": {"debias": "none", "minConfidence": 1}}
    change_gated_solver(solver, change, "Passed")
    eventually(
        lambda: solver.get("mcq", NAME)["status"]["gate"]["watch"].get("since"),
        seconds=300,
        what="the change is rolled out and watched",
    )
    assert abstentions() == 60
    gate_condition = change_gated_solver(solver, {}, "WorseThanBefore")
    assert gate_condition["status"] == "False"
    assert "60 of 60 questions abstained, before 0 of 60 (allowed: 10% more)" in gate_condition["message"]
    eventually(lambda: abstentions() == 0, seconds=120, what="the earlier replicas answer again")
    back = {"rollout": {"gate": None}, "answering": {"debias": "prior", "minConfidence": None}}
    solver.kubectl(IN_NAMESPACE, "patch", "mcq", NAME, "--type=merge", "--patch", json.dumps({"spec": back}))
    solver.wait_ready()


def test_a_deleted_exam_leaves_nothing_behind(solver: Solver, sums: str) -> None:
    solver.kubectl(IN_NAMESPACE, "delete", "mcqexam", sums)
    labels = f"app.kubernetes.io/instance={sums},app.kubernetes.io/name=mcq-exam"
    kinds = "configmaps,serviceaccounts,roles,rolebindings,jobs,pods"
    eventually(
        lambda: not solver.get(kinds, "-l", labels)["items"], seconds=60, what="all its objects are deleted"
    )
    eventually(
        lambda: "exam" not in solver.get("mcq", NAME)["status"],
        seconds=10,
        what="the status no longer names it",
    )
