"""A change must pass an exam, on a real API server with its controllers, with results as the runner writes them."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiException
from tests.operator.conftest import Bench, Kubectl
from tests.operator.controllers.test_exams import apply_exam, finish_job, jobs, part, result_store
from tests.operator.live import apply, condition, existing, patch, pod_names, until

from mcq_eval.report.rows import Row
from mcq_eval.verdict import Limits
from mcq_operator.api import ExamKey, Key, Manifest, SolverKey
from mcq_operator.probes.traffic import ReplicaTraffic

GATE = {"gate": {"examRef": {"name": "aqua"}, "maxRegression": 0.1}}
SPEC: dict[str, Any] = {"replicas": 1, "rollout": GATE, "storage": {"cache": {"type": "PVC"}}}
BASELINE = "x" * 60 + "o" * 40
CHANGE = {"spec": {"model": {"precision": "float32"}}}
CANDIDATE = "demo-candidate"


def keys(bench: Bench) -> list[Key]:
    namespace = bench.namespace
    return [
        bench.key,
        ExamKey(namespace, "aqua"),
        SolverKey(namespace, CANDIDATE),
        ExamKey(namespace, CANDIDATE),
    ]


async def settle(bench: Bench) -> None:
    """Reconcile every resource until none writes anything."""
    for _ in range(40):
        if not [write for key in keys(bench) for write in await bench.reconcile(key)]:
            return
    message = f"still writing: {bench.writes}"
    raise AssertionError(message)


def mark_ready(kubectl: Kubectl, name: str) -> bool:
    """Mark a solver's Pods ready as a kubelet does; return whether its Deployment has counted the only one."""
    since = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
    ready = {"type": "Ready", "status": "True", **since}
    address = {"podIP": "192.0.2.7", "podIPs": [{"ip": "192.0.2.7"}]}
    ready_status = {"status": {"phase": "Running", "conditions": [ready], **address}}
    labels = f"app.kubernetes.io/instance={name},app.kubernetes.io/name=mcq-solver"
    for pod in kubectl.list("pods", labels):
        with contextlib.suppress(ApiException):  # a replaced Pod may be gone
            patch(kubectl, "pod", pod["metadata"]["name"], ready_status, subresource="status")
    deployment = kubectl.get("deployment", name) or {}
    deployment_status = deployment.get("status", {})
    observed = deployment_status.get("observedGeneration") == deployment.get("metadata", {}).get("generation")
    counts = {deployment_status.get(name) for name in ("availableReplicas", "updatedReplicas", "replicas")}
    return bool(observed and counts == {1})


async def make_ready(kubectl: Kubectl, bench: Bench, name: str) -> None:
    await settle(bench)
    await until(lambda: mark_ready(kubectl, name), seconds=30)
    await settle(bench)


async def finish_exam(
    kubectl: Kubectl, tmp_path: Path, exam: str, answers: str, before: list[Row] | None = None
) -> list[Row]:
    """Finish an exam's Job with these answers; return their rows."""
    [job] = [each for each in jobs(kubectl) if each["metadata"]["name"].startswith(f"{exam}-")]
    store, name = result_store(kubectl, tmp_path, exam=exam), job["metadata"]["name"]
    limits = Limits(max_regression=0.1 if before else None)
    [shard_part] = await finish_job(kubectl, store, name, [part(answers)], limits=limits, before=before)
    return shard_part.rows


async def finish_baseline(
    kubectl: Kubectl, bench: Bench, tmp_path: Path, spec: dict[str, Any] = SPEC
) -> list[Row]:
    """Apply a solver with a gate and finish its baseline exam; return the exam's rows."""
    await bench.cluster.discover()
    apply(kubectl, spec)
    apply_exam(kubectl, {})
    await make_ready(kubectl, bench, "demo")
    rows = await finish_exam(kubectl, tmp_path, "aqua", BASELINE)
    await settle(bench)
    assert condition(kubectl, "Ready")["status"] == "True"
    return rows


async def start_candidate(kubectl: Kubectl, bench: Bench, tmp_path: Path) -> list[Row]:
    """Change a solver after its baseline exam and start its candidate's exam; return the baseline's rows."""
    rows = await finish_baseline(kubectl, bench, tmp_path)
    patch(kubectl, "mcq", "demo", CHANGE)
    await make_ready(kubectl, bench, CANDIDATE)
    assert gate(kubectl)["reason"] == "CandidateSitting"
    return rows


def gate(kubectl: Kubectl) -> dict[str, Any]:
    state: dict[str, Any] = existing(kubectl, "mcq", "demo")["status"]["gate"]
    return state


def precision(kubectl: Kubectl, name: str = "demo") -> str:
    """Return the precision of a solver's replicas."""
    deployment: Manifest = existing(kubectl, "deployment", name)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return next(str(each["value"]) for each in container["env"] if each["name"] == "MCQ_MODEL_PRECISION")


async def test_a_candidate_gets_no_requests_and_the_same_questions(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    await start_candidate(kubectl, bench, tmp_path)
    assert (precision(kubectl), precision(kubectl, CANDIDATE)) == ("auto", "float32")
    assert condition(kubectl, "Ready")["status"] == "False"
    assert condition(kubectl, "ExamPassed")["status"] == "Unknown"
    assert existing(kubectl, "mcq", "demo")["status"]["answering"]
    assert "demo-candidate" not in str(existing(kubectl, "service", "demo")["spec"])
    assert kubectl.get("ingress", CANDIDATE) is None
    candidate = existing(kubectl, "mcq", CANDIDATE)["spec"]
    assert candidate["storage"]["cache"]["claimName"] == "demo-model-cache"
    exam = existing(kubectl, "mcqexam", CANDIDATE)["spec"]
    assert exam["questions"] == existing(kubectl, "mcqexam", "aqua")["spec"]["questions"]
    assert (exam["baselineRef"], exam["pass"]) == ({"name": "aqua"}, {"maxRegression": 0.1})
    [job] = [each for each in jobs(kubectl) if CANDIDATE in each["metadata"]["name"]]
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert "--before=/etc/mcq-baseline" in container["args"]
    assert f"--url=http://{CANDIDATE}.{kubectl.namespace}.svc" in container["args"]


async def test_an_equally_good_change_is_promoted_and_its_candidate_deleted(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    rows = await start_candidate(kubectl, bench, tmp_path)
    await finish_exam(kubectl, tmp_path, CANDIDATE, BASELINE, rows)
    await settle(bench)
    assert precision(kubectl) == "float32"
    reported = condition(kubectl, "ExamPassed")
    assert (reported["status"], reported["reason"]) == ("True", "Passed")
    assert "0 right only before and 0 only now" in reported["message"]
    assert existing(kubectl, "mcqexam", CANDIDATE)["status"]["summary"]  # its report is kept
    stored = {
        each["type"]: each["status"]
        for each in existing(kubectl, "mcqexam", CANDIDATE)["status"]["conditions"]
    }
    assert (stored["Complete"], stored["Passed"]) == ("True", "True")
    assert not [
        each for each in jobs(kubectl) if each["metadata"]["name"].startswith("aqua-")
    ]  # the solver is not ready yet
    await until(lambda: kubectl.get("mcq", CANDIDATE) is None)
    change = gate(kubectl)["change"]
    kubectl("annotate", "mcq", "demo", f"mcq-operator.dev/promote={change} alice: nothing to let through")
    await make_ready(kubectl, bench, "demo")
    assert condition(kubectl, "ExamPassed")["reason"] == "Passed"
    assert condition(kubectl, "Ready")["status"] == "True"
    assert condition(kubectl, "Degraded")["status"] == "False"
    assert [each for each in jobs(kubectl) if each["metadata"]["name"].startswith("aqua-")]


async def test_a_worse_candidate_is_refused_with_its_figures_and_the_old_replicas_stay(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    rows = await start_candidate(kubectl, bench, tmp_path)
    pods = pod_names(kubectl, "app.kubernetes.io/instance=demo")
    await finish_exam(kubectl, tmp_path, CANDIDATE, "x" * 20 + "o" * 80, rows)
    await settle(bench)
    assert precision(kubectl) == "auto"
    assert pod_names(kubectl, "app.kubernetes.io/instance=demo") == pods
    reported = condition(kubectl, "ExamPassed")
    assert (reported["status"], reported["reason"]) == ("False", "ExamNotPassed")
    assert "40 right only before and 0 only now" in reported["message"]
    assert "mcq-operator.dev/promote" in reported["message"]
    for kind, expected in (("Ready", "False"), ("Degraded", "True")):
        assert (condition(kubectl, kind)["status"], condition(kubectl, kind)["reason"]) == (
            expected,
            "ExamNotPassed",
        )
    await until(lambda: kubectl.get("mcq", CANDIDATE) is None)
    assert "ExamNotPassed" in kubectl("get", "events", "-o", "jsonpath={.items[*].reason}")
    bench.restart()  # a restarted operator does not try it again
    await bench.cluster.discover()
    await settle(bench)
    assert gate(kubectl)["phase"] == "Refused"
    patch(kubectl, "mcq", "demo", {"spec": {"model": {"precision": "auto"}}})  # the change is reverted
    await settle(bench)
    assert "gate" not in existing(kubectl, "mcq", "demo")["status"]
    assert condition(kubectl, "Ready")["status"] == "True"


@pytest.mark.parametrize("remedy", ["memory", "annotation"])
async def test_a_refused_change_takes_the_exam_again_after_a_remedy(
    kubectl: Kubectl, bench: Bench, tmp_path: Path, remedy: str
) -> None:
    """The result of the first attempt does not count for the second."""
    rows = await start_candidate(kubectl, bench, tmp_path)
    await finish_exam(kubectl, tmp_path, CANDIDATE, "o" * 100, rows)
    await settle(bench)
    assert gate(kubectl)["phase"] == "Refused"
    await until(lambda: kubectl.get("mcq", CANDIDATE) is None)
    first = existing(kubectl, "mcqexam", CANDIDATE)["metadata"]["uid"]
    if remedy == "memory":
        patch(kubectl, "mcq", "demo", {"spec": {"resources": {"limits": {"memory": "9Gi"}}}})
    else:
        kubectl("annotate", "mcq", "demo", "mcq-operator.dev/retry=today")
    await make_ready(kubectl, bench, CANDIDATE)
    assert gate(kubectl)["phase"] == "Sitting"
    assert existing(kubectl, "mcqexam", CANDIDATE)["metadata"]["uid"] != first
    await until(
        lambda: len([each for each in jobs(kubectl) if each["metadata"]["name"].startswith(CANDIDATE)]) == 1
    )
    await finish_exam(kubectl, tmp_path, CANDIDATE, BASELINE, rows)
    await settle(bench)
    assert (gate(kubectl)["phase"], precision(kubectl)) == ("Passed", "float32")


async def test_a_refused_change_does_not_roll_out_when_the_deployment_is_deleted(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    """No record of the earlier replicas is left, so a person decides."""
    rows = await start_candidate(kubectl, bench, tmp_path)
    await finish_exam(kubectl, tmp_path, CANDIDATE, "o" * 100, rows)
    await settle(bench)
    assert gate(kubectl)["phase"] == "Refused"
    kubectl("delete", "deployment", "demo", "--cascade=foreground")
    await until(lambda: not kubectl.list("replicasets", "app.kubernetes.io/instance=demo"))
    await settle(bench)
    assert kubectl.get("deployment", "demo") is None
    assert gate(kubectl)["phase"] == "Refused"
    for kind in ("Ready", "Degraded"):
        assert condition(kubectl, kind)["reason"] == "PreviousReplicasLost"
    patch(kubectl, "mcq", "demo", {"spec": {"model": {"precision": "auto"}}})  # the change is reverted
    await settle(bench)
    assert precision(kubectl) == "auto"


async def test_the_cache_of_the_replicas_that_a_gate_keeps_is_not_deleted(
    kubectl: Kubectl, bench: Bench
) -> None:
    """When the change rolls out, it is."""
    await bench.cluster.discover()
    apply(kubectl, SPEC)
    apply_exam(kubectl, {})
    await make_ready(kubectl, bench, "demo")
    endpoint = {"endpoint": "http://vllm.models:8000/v1", "model": "qwen"}
    patch(kubectl, "mcq", "demo", {"spec": {"engine": {"type": "OpenAI", "openai": endpoint}}})
    await settle(bench)
    assert gate(kubectl)["reason"] == "NoBaseline"
    assert "deletionTimestamp" not in existing(kubectl, "pvc", "demo-model-cache")["metadata"]
    inventory = existing(kubectl, "mcq", "demo")["status"]["inventory"]
    assert "demo-model-cache" in [each["name"] for each in inventory]
    patch(kubectl, "mcq", "demo", {"spec": {"rollout": None}})
    await make_ready(kubectl, bench, "demo")
    await settle(bench)
    claim = kubectl.get("pvc", "demo-model-cache")
    assert claim is None or "deletionTimestamp" in claim["metadata"]


async def test_the_way_in_follows_the_replicas_that_a_gate_keeps(kubectl: Kubectl, bench: Bench) -> None:
    """They know only the path before the change, and ask for no key."""
    await bench.cluster.discover()
    host = f"{kubectl.namespace}.example.com"
    apply(kubectl, {**SPEC, "ingress": {"host": host, "path": "/old"}})
    apply_exam(kubectl, {})
    await make_ready(kubectl, bench, "demo")
    keys_ref = {"apiKeysSecretRef": {"name": "clients"}}
    patch(kubectl, "mcq", "demo", {"spec": {**CHANGE["spec"], "ingress": {"path": "/new"}, "auth": keys_ref}})
    await settle(bench)
    assert gate(kubectl)["reason"] == "NoBaseline"

    def path() -> str:
        [rule] = existing(kubectl, "ingress", "demo")["spec"]["rules"]
        return str(rule["http"]["paths"][0]["path"])

    assert path() == "/old"
    assert existing(kubectl, "mcq", "demo")["status"]["url"] == f"http://{host}/old"
    assert (condition(kubectl, "Exposed")["status"], condition(kubectl, "Exposed")["reason"]) == (
        "True",
        "NoKeysAndNoPolicy",
    )
    patch(kubectl, "mcq", "demo", {"spec": {"rollout": None}})
    await settle(bench)
    assert path() == "/new"
    assert condition(kubectl, "Exposed")["reason"] == "NoKeysAndNoPolicy"
    await make_ready(kubectl, bench, "demo")
    assert condition(kubectl, "Exposed")["reason"] == "APIKeysNeeded"


async def test_an_annotation_lets_only_its_change_through(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    rows = await start_candidate(kubectl, bench, tmp_path)
    await finish_exam(kubectl, tmp_path, CANDIDATE, "o" * 100, rows)
    await settle(bench)
    other = "mcq-operator.dev/promote=0123456789abcdef alice: measured by hand"
    kubectl("annotate", "mcq", "demo", other)
    await settle(bench)
    assert precision(kubectl) == "auto"
    assert "has no effect" in condition(kubectl, "ExamPassed")["message"]
    approval = f"{gate(kubectl)['change']} alice: measured by hand"
    kubectl("annotate", "--overwrite", "mcq", "demo", f"mcq-operator.dev/promote={approval}")
    await settle(bench)
    assert precision(kubectl) == "float32"
    reported = condition(kubectl, "ExamPassed")
    assert (reported["status"], reported["reason"]) == ("Unknown", "Overridden")
    override = existing(kubectl, "mcq", "demo")["status"]["override"]
    assert override["annotation"] == approval
    assert override["time"].endswith("Z")
    await make_ready(kubectl, bench, "demo")
    await finish_exam(kubectl, tmp_path, "aqua", "o" * 100)
    await settle(bench)
    patch(kubectl, "mcq", "demo", {"spec": {"model": {"precision": "int8"}}})
    await settle(bench)
    assert precision(kubectl) == "float32"
    assert gate(kubectl)["phase"] == "Sitting"


async def test_a_later_change_takes_the_exam_instead_of_the_earlier_one(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    rows = await start_candidate(kubectl, bench, tmp_path)
    first = gate(kubectl)
    patch(kubectl, "mcq", "demo", {"spec": {"model": {"precision": "int8"}}})
    # The first candidate's result comes late.
    await finish_exam(kubectl, tmp_path, CANDIDATE, BASELINE, rows)
    await bench.reconcile(ExamKey(bench.namespace, CANDIDATE))
    await settle(bench)
    assert gate(kubectl)["candidate"] != first["candidate"]
    assert gate(kubectl)["replicaSet"] == first["replicaSet"]
    assert (precision(kubectl), precision(kubectl, CANDIDATE)) == ("auto", "int8")
    assert gate(kubectl)["phase"] == "Sitting"
    await make_ready(kubectl, bench, CANDIDATE)
    await finish_exam(kubectl, tmp_path, CANDIDATE, BASELINE, rows)
    await settle(bench)
    assert precision(kubectl) == "int8"


async def test_a_gate_ends_although_the_operator_restarts_before_each_reconcile(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    """Each reconcile starts with an empty memory and continues what an earlier one began."""
    rows = await finish_baseline(kubectl, bench, tmp_path)
    patch(kubectl, "mcq", "demo", CHANGE)
    for _ in range(4):
        for key in keys(bench):
            bench.restart()
            await bench.cluster.discover()
            await bench.reconcile(key)
    await make_ready(kubectl, bench, CANDIDATE)
    await finish_exam(kubectl, tmp_path, CANDIDATE, BASELINE, rows)
    for _ in range(4):
        for key in keys(bench):
            bench.restart()
            await bench.cluster.discover()
            await bench.reconcile(key)
    assert gate(kubectl)["phase"] == "Passed"
    assert precision(kubectl) == "float32"


async def test_the_first_replicas_need_no_exam(kubectl: Kubectl, bench: Bench) -> None:
    await bench.cluster.discover()
    apply(kubectl, SPEC)
    await settle(bench)
    assert precision(kubectl) == "auto"
    assert condition(kubectl, "ExamPassed")["reason"] == "NoChange"


async def test_the_current_replicas_take_the_exam_while_a_change_waits_for_their_result(
    kubectl: Kubectl, bench: Bench
) -> None:
    """The solver is not Ready meanwhile."""
    await bench.cluster.discover()
    apply(kubectl, SPEC)
    apply_exam(kubectl, {})
    await make_ready(kubectl, bench, "demo")
    patch(kubectl, "mcq", "demo", CHANGE)
    await settle(bench)
    assert gate(kubectl)["reason"] == "NoBaseline"
    assert precision(kubectl) == "auto"
    assert kubectl.get("mcq", CANDIDATE) is None
    assert len(jobs(kubectl)) == 1


async def test_a_change_that_keeps_the_answers_needs_no_exam(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    await finish_baseline(kubectl, bench, tmp_path)
    patch(kubectl, "mcq", "demo", {"spec": {"limits": {"maxQueuedRequests": 8}}})
    await settle(bench)
    assert "gate" not in existing(kubectl, "mcq", "demo")["status"]
    deployment = existing(kubectl, "deployment", "demo")
    assert {"name": "MCQ_MAX_QUEUED_REQUESTS", "value": "8"} in deployment["spec"]["template"]["spec"][
        "containers"
    ][0]["env"]


async def test_a_removed_gate_lets_the_change_through_and_leaves_a_record(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    await start_candidate(kubectl, bench, tmp_path)
    change = gate(kubectl)["change"]
    patch(kubectl, "mcq", "demo", {"spec": {"rollout": {"gate": None}}})
    await settle(bench)
    assert precision(kubectl) == "float32"
    assert condition(kubectl, "ExamPassed")["reason"] == "GateRemoved"
    override = existing(kubectl, "mcq", "demo")["status"]["override"]
    assert (override["reason"], override["change"]) == ("GateRemoved", change)
    assert override["gate"] == {"exam": "aqua", "maxRegression": 0.1}
    assert "GateRemoved" in kubectl("get", "events", "-o", "jsonpath={.items[*].reason}")
    await until(lambda: kubectl.get("mcq", CANDIDATE) is None)
    await until(lambda: kubectl.get("mcqexam", CANDIDATE) is None)


def counted(*, failed: int = 0) -> ReplicaTraffic:
    """Return the counts of a replica after 500 questions."""
    outcomes = {"answered": 500 - failed, "internal-error": failed}
    return ReplicaTraffic.model_validate(
        {"outcomes": outcomes, "modes": {"explain": {"questions": 500, "seconds": 9}}}
    )


async def test_a_promoted_change_that_fails_users_is_withdrawn(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    """The earlier replicas answer again, the status has the figures, and a restarted operator leaves it so."""
    bench.replica_traffic = counted()
    rollout = {"gate": {**GATE["gate"], "watch": {"seconds": 600}}}
    rows = await finish_baseline(kubectl, bench, tmp_path, {**SPEC, "rollout": rollout})
    patch(kubectl, "mcq", "demo", CHANGE)
    await make_ready(kubectl, bench, CANDIDATE)
    await finish_exam(kubectl, tmp_path, CANDIDATE, BASELINE, rows)
    await settle(bench)
    assert gate(kubectl)["watch"]["before"] == {
        "questions": 500, "failed": 0, "abstained": 0,
        "modes": [{"mode": "explain", "questions": 500, "seconds": 9}],
    }  # fmt: skip
    bench.replica_traffic = None  # the new replica does not answer yet
    await make_ready(kubectl, bench, "demo")
    assert precision(kubectl) == "float32"
    assert "since" in gate(kubectl)["watch"]
    bench.replica_traffic = counted(failed=100)
    await settle(bench)
    await settle(bench)
    assert precision(kubectl) == "auto"
    state = gate(kubectl)
    assert (state["phase"], state["reason"], state["watch"]["after"]["failed"]) == (
        "Refused",
        "WorseThanBefore",
        100,
    )
    reported = condition(kubectl, "ExamPassed")
    assert (reported["status"], reported["reason"]) == ("False", "WorseThanBefore")
    assert "100 of 500 questions without an answer, before 0 of 500" in reported["message"]
    assert (condition(kubectl, "Degraded")["status"], condition(kubectl, "Degraded")["reason"]) == (
        "True",
        "WorseThanBefore",
    )
    bench.restart()
    await bench.cluster.discover()
    await make_ready(kubectl, bench, "demo")
    assert precision(kubectl) == "auto"
    approval = f"{state['change']} alice: the errors were the network's"
    kubectl("annotate", "mcq", "demo", f"mcq-operator.dev/promote={approval}")
    await settle(bench)
    assert (precision(kubectl), gate(kubectl)["phase"]) == ("float32", "Overridden")
