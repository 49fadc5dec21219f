"""A tenant who may also change ConfigMaps can't pass a gate."""

import json
from datetime import timedelta
from pathlib import Path

from tests.operator.adversary.conftest import Tenant
from tests.operator.conftest import Bench, Kubectl
from tests.operator.controllers.test_gate import BASELINE, CANDIDATE, changed, gate, precision, sat, settle
from tests.operator.live import condition, existing

RESULTS = f"{CANDIDATE}-results"


def passed(kubectl: Kubectl, results: str, accuracy: float = 1) -> str:
    """Return the newest result in a ConfigMap, changed to a pass."""
    figures = existing(kubectl, "configmap", results)["data"]
    actual = json.loads(next(text for key, text in figures.items() if key.endswith(".json")))
    actual["verdict"] = {"outcome": "Passed", "limits": [{"outcome": "Passed", "detail": "believe me"}]}
    actual["figures"]["accuracy"]["value"] = accuracy
    return json.dumps(actual)


def write(tenant: Tenant, sitting: str, result: str) -> None:
    """Put a result where the exam's Pods put theirs."""
    change = json.dumps({"data": {f"{sitting}.json": result}})
    done = tenant.run("patch", "configmap", RESULTS, "--type=merge", f"--patch={change}")
    assert done.returncode == 0, done.stderr


async def test_who_may_change_config_maps_too_writes_a_passed_result_for_the_exam_of_a_gate(
    kubectl: Kubectl, bench: Bench, tenant: Tenant, tmp_path: Path
) -> None:
    """The tenant writes before the exam's Pods have ended, and overwrites their result."""
    kubectl("create", "role", "writer", "--verb=get,list,patch,update", "--resource=configmaps")
    kubectl("create", "rolebinding", "writer", "--role=writer", f"--user={tenant.name}")
    rows = await changed(kubectl, bench, tmp_path)
    [job] = [each for each in kubectl.list("jobs") if each["metadata"]["name"].startswith(f"{CANDIDATE}-")]
    sitting = job["metadata"]["name"]
    write(tenant, sitting, passed(kubectl, "aqua-results"))
    await settle(bench)
    assert (gate(kubectl)["phase"], precision(kubectl)) == ("Sitting", "auto")
    await sat(kubectl, tmp_path, CANDIDATE, "o" * len(BASELINE), rows)
    write(tenant, sitting, passed(kubectl, RESULTS))
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
