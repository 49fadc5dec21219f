"""A tenant who may also change ConfigMaps can't pass a gate."""

import json
from datetime import timedelta
from pathlib import Path

from tests.operator.adversary.conftest import Tenant
from tests.operator.conftest import Bench, Kubectl
from tests.operator.controllers.test_gate import (
    BASELINE,
    CANDIDATE,
    finish_exam,
    gate,
    precision,
    settle,
    start_candidate,
)
from tests.operator.live import condition, existing

RESULTS = f"{CANDIDATE}-results"


def passing_result(kubectl: Kubectl, results: str, accuracy: float = 1) -> str:
    """Return the newest result of a ConfigMap, changed into a pass."""
    data = existing(kubectl, "configmap", results)["data"]
    result = json.loads(next(text for key, text in data.items() if key.endswith(".json")))
    result["verdict"] = {"outcome": "Passed", "limits": [{"outcome": "Passed", "detail": "believe me"}]}
    result["figures"]["accuracy"]["value"] = accuracy
    return json.dumps(result)


def write_result(tenant: Tenant, job_name: str, result: str) -> None:
    """Write a result where the exam's Pods write theirs."""
    change = json.dumps({"data": {f"{job_name}.json": result}})
    done = tenant.run("patch", "configmap", RESULTS, "--type=merge", f"--patch={change}")
    assert done.returncode == 0, done.stderr


async def test_a_gate_ignores_the_results_that_a_tenant_writes(
    kubectl: Kubectl, bench: Bench, tenant: Tenant, tmp_path: Path
) -> None:
    """The tenant writes a result before the exam's Pods end, and overwrites theirs."""
    kubectl("create", "role", "writer", "--verb=get,list,patch,update", "--resource=configmaps")
    kubectl("create", "rolebinding", "writer", "--role=writer", f"--user={tenant.name}")
    rows = await start_candidate(kubectl, bench, tmp_path)
    [job] = [each for each in kubectl.list("jobs") if each["metadata"]["name"].startswith(f"{CANDIDATE}-")]
    job_name = job["metadata"]["name"]
    write_result(tenant, job_name, passing_result(kubectl, "aqua-results"))
    await settle(bench)
    assert (gate(kubectl)["phase"], precision(kubectl)) == ("Sitting", "auto")
    await finish_exam(kubectl, tmp_path, CANDIDATE, "o" * len(BASELINE), rows)
    write_result(tenant, job_name, passing_result(kubectl, RESULTS))
    await settle(bench)
    reported = {
        each["type"]: each for each in existing(kubectl, "mcqexam", CANDIDATE)["status"]["conditions"]
    }
    assert (reported["Complete"]["status"], reported["Complete"]["reason"]) == ("False", "ResultAltered")
    assert reported["Passed"]["status"] == "Unknown"
    assert (gate(kubectl)["phase"], precision(kubectl)) == ("Sitting", "auto")
    bench.now += timedelta(minutes=2)
    await settle(bench)
    assert (gate(kubectl)["phase"], precision(kubectl)) == ("Refused", "auto")
    assert condition(kubectl, "ExamPassed")["reason"] == "ExamFailed"
    assert "differs from the one that the exam's Pods wrote" in condition(kubectl, "ExamPassed")["message"]
