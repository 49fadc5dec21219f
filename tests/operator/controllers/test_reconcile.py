"""The reconcile on a real API server with its real controllers; the tests set Pod statuses as a kubelet does."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.operator.conftest import Bench, Kubectl
from tests.operator.live import (
    NAMES,
    SPEC,
    apply,
    condition,
    existing,
    mark_pods_ready,
    patch,
    pod_names,
    until,
)

from mcq_operator.api.observed import CanaryVerdict
from mcq_operator.client import Children
from mcq_operator.controllers import Outcome


async def test_one_reconcile_creates_all_objects_of_a_solver(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, SPEC)
    await bench.reconcile()
    uid = existing(kubectl, "mcq", "demo")["metadata"]["uid"]
    for kind, name in NAMES.items():
        (owner,) = existing(kubectl, kind, name)["metadata"]["ownerReferences"]
        assert owner["uid"] == uid
        assert owner["controller"]
    inventory = existing(kubectl, "mcq", "demo")["status"]["inventory"]
    assert sorted(item["name"] for item in inventory) == sorted(NAMES.values())


@pytest.mark.parametrize("restart", [False, True])
async def test_a_reconcile_that_changes_nothing_sends_no_write(
    kubectl: Kubectl, bench: Bench, restart: bool
) -> None:
    everything: dict[str, Any] = {
        **SPEC,
        "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"memory": "4096Mi"}},
        "scheduling": {"tolerations": [{"operator": "Exists"}], "nodeSelector": {"a": "b"}},
        "storage": {"cache": {"type": "PVC", "size": "16384Mi"}},
        "tracing": {"enabled": True, "endpoint": "http://jaeger:4318"},
        "disruption": {"minAvailable": "50%"},
    }
    apply(kubectl, everything)
    await bench.settle()
    await mark_pods_ready(kubectl)
    await bench.settle()
    assert condition(kubectl, "Ready")["status"] == "True"
    before = {kind: existing(kubectl, kind, name)["metadata"] for kind, name in NAMES.items()}
    if restart:
        bench.restart()
    for _ in range(5):
        assert await bench.reconcile() == []
    for kind, name in NAMES.items():
        assert existing(kubectl, kind, name)["metadata"]["resourceVersion"] == before[kind]["resourceVersion"]


@pytest.mark.parametrize("restart", [False, True])
async def test_a_removed_field_is_deleted_and_a_foreign_one_stays(
    kubectl: Kubectl, bench: Bench, restart: bool
) -> None:
    """Our first change adopts the fields of the created object, so the API server deletes those that we leave out."""
    apply(kubectl, {"serviceAccount": {"annotations": {"example.com/a": "1", "example.com/b": "1"}}})
    await bench.settle()
    kubectl("annotate", "serviceaccount", "demo", "example.com/theirs=1")
    if restart:
        bench.restart()
    apply(kubectl, {"serviceAccount": {"annotations": {"example.com/b": "2"}}})
    await bench.settle()
    metadata = existing(kubectl, "serviceaccount", "demo")["metadata"]
    annotations = {key: value for key, value in metadata["annotations"].items() if "example" in key}
    assert annotations == {"example.com/b": "2", "example.com/theirs": "1"}
    shown = json.loads(kubectl("get", "serviceaccount", "demo", "--show-managed-fields", "-o", "json"))
    managers = {(entry["manager"], entry["operation"]) for entry in shown["metadata"]["managedFields"]}
    assert managers == {("mcq-operator", "Apply"), ("kubectl-annotate", "Update")}


async def test_scaling_by_kubectl_reaches_the_deployment_and_the_scale_subresource(
    kubectl: Kubectl, bench: Bench
) -> None:
    apply(kubectl, {})
    await bench.settle()
    kubectl("scale", "mcq", "demo", "--replicas=5")
    await bench.settle()
    assert existing(kubectl, "deployment", "demo")["spec"]["replicas"] == 5
    raw = f"/apis/mcq-operator.dev/v1alpha1/namespaces/{kubectl.namespace}/mcqsolvers/demo/scale"
    await until(lambda: existing(kubectl, "deployment", "demo")["status"]["replicas"] == 5)
    await bench.settle()
    scale = json.loads(kubectl("get", "--raw", raw))
    assert scale["spec"]["replicas"] == scale["status"]["replicas"] == 5
    pods = kubectl("get", "pods", "-l", scale["status"]["selector"], "-o", "name").split()
    assert len(pods) == 5


async def test_a_replaced_evicted_pod_is_not_a_failure(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, {})
    await bench.settle()
    await mark_pods_ready(kubectl)
    first = pod_names(kubectl)[0]
    evicted = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    killed = {
        "name": "service",
        "state": {"terminated": {"exitCode": 137}},
        "ready": False,
        "restartCount": 0,
    }
    killed |= {"image": "x", "imageID": "", "lastState": {}}
    status = {**evicted, "conditions": [], "containerStatuses": [killed]}
    patch(kubectl, "pod", first, {"status": status}, subresource="status")
    await until(lambda: len(pod_names(kubectl)) == 4)
    for name in set(pod_names(kubectl)) - {first}:
        since = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", **since}]}
        patch(kubectl, "pod", name, {"status": ready}, subresource="status")
    await until(lambda: existing(kubectl, "deployment", "demo")["status"].get("availableReplicas") == 3)
    await bench.settle()
    assert first in pod_names(kubectl)
    assert condition(kubectl, "Ready")["status"] == "True"
    assert condition(kubectl, "Degraded")["status"] == "False"


async def test_a_claim_is_deleted_when_no_replica_mounts_it(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, {"replicas": 1, "storage": {"cache": {"type": "PVC"}}})
    await bench.settle()
    await mark_pods_ready(kubectl, 1)
    [old] = pod_names(kubectl)
    apply(kubectl, {"replicas": 1, "storage": {"cache": {"type": "EmptyDir"}}})
    await bench.settle()
    assert old in pod_names(kubectl)
    assert "deletionTimestamp" not in existing(kubectl, "pvc", "demo-model-cache")["metadata"]
    inventory = existing(kubectl, "mcq", "demo")["status"]["inventory"]
    assert "demo-model-cache" in [each["name"] for each in inventory]
    [new] = set(pod_names(kubectl)) - {old}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    patch(kubectl, "pod", new, {"status": {"phase": "Running", "conditions": [ready]}}, subresource="status")
    await until(lambda: pod_names(kubectl) == [new])
    await bench.settle()
    claim = kubectl.get("pvc", "demo-model-cache")
    assert claim is None or "deletionTimestamp" in claim["metadata"]


async def test_deleting_a_solver_deletes_its_objects(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, SPEC)
    await bench.settle()
    kubectl("delete", "mcq", "demo", "--timeout=20s")
    assert await bench.reconcile() == []
    kinds = ",".join([*NAMES, "replicaset", "pods"])
    selector = "app.kubernetes.io/managed-by=mcq-operator"
    await until(lambda: not kubectl("get", kinds, "-l", selector, "-o", "name").split(), seconds=60)


@pytest.fixture
async def kept_solvers(kubectl: Kubectl) -> AsyncIterator[None]:
    """An admission policy that keeps the solvers of the test's namespace from being deleted."""
    name = f"keeps-solvers-in-{kubectl.namespace}"
    rule = {"apiGroups": ["mcq-operator.dev"], "apiVersions": ["*"], "operations": ["DELETE"]}
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [{**rule, "resources": ["mcqsolvers"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": kubectl.namespace}},
        },
        "validations": [{"expression": "false", "message": "this test needs its solver"}],
    }
    policy = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy"}
    binding = {**policy, "kind": "ValidatingAdmissionPolicyBinding"}
    bound = {"policyName": name, "validationActions": ["Deny"]}
    objects = [
        {**policy, "metadata": {"name": name}, "spec": spec},
        {**binding, "metadata": {"name": name}, "spec": bound},
    ]
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    apply(kubectl, SPEC)
    refused = ("delete", "mcq", "demo", "--dry-run=server")
    await until(lambda: "this test needs its solver" in kubectl.run(*refused).stderr)
    yield
    kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", name)


@pytest.mark.usefixtures("kept_solvers")
async def test_a_solver_in_a_namespace_that_is_being_deleted_reports_no_failure(
    kubectl: Kubectl, bench: Bench
) -> None:
    """Its children are deleted first, and the API server refuses to create them again."""
    await bench.settle()
    kubectl.server.delete_namespace(kubectl.namespace)
    await until(lambda: kubectl.get("service", "demo") is None, seconds=30)
    assert (await bench.result()).outcome is Outcome.GONE
    assert bench.writes == []


async def test_a_reconcile_creates_nothing_for_a_solver_deleted_meanwhile(
    kubectl: Kubectl, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The garbage collector deletes the children before the reconcile reads them."""
    apply(kubectl, SPEC)
    await bench.settle()
    children = bench.cluster.children

    async def late_children(*arguments: Any, **desired: Any) -> Children:
        kubectl("delete", "mcq", "demo", "--timeout=20s")
        await until(lambda: kubectl.get("service", "demo") is None, seconds=60)
        return await children(*arguments, **desired)

    monkeypatch.setattr(bench.cluster, "children", late_children)
    assert await bench.reconcile() == []


async def test_ready_follows_the_available_replicas_and_the_canary(kubectl: Kubectl, bench: Bench) -> None:
    bench.verdict = CanaryVerdict(outcome="failed", detail="HTTP 500: broken")
    apply(kubectl, SPEC)
    await bench.settle()
    assert condition(kubectl, "Ready")["status"] == "False"
    await mark_pods_ready(kubectl)
    await bench.settle()
    assert condition(kubectl, "Ready")["reason"] == "CanaryFailed"
    assert "HTTP 500: broken" in condition(kubectl, "Ready")["message"]
    bench.verdict = CanaryVerdict(outcome="answered")
    bench.restart()
    await bench.settle()
    assert condition(kubectl, "Ready")["status"] == "True"
    assert condition(kubectl, "ModelLoaded")["status"] == "True"
    line = kubectl("get", "mcq", "--no-headers").split()
    assert line[:3] == ["demo", "True", "3"]
    assert line[4] == "http://mcq.example.com"
    kubectl("wait", "--for=condition=Ready", "mcq/demo", "--timeout=1s")
    kubectl("scale", "mcq", "demo", "--replicas=4")
    assert kubectl.run("wait", "--for=condition=Ready", "mcq/demo", "--timeout=1s").returncode != 0
    await bench.settle()
    assert condition(kubectl, "Ready")["status"] == "False"


async def test_a_pod_that_can_not_be_created_is_reported(kubectl: Kubectl, bench: Bench) -> None:
    kubectl("create", "quota", "none", "--hard=pods=0")
    apply(kubectl, {})
    await bench.reconcile()

    def replica_failure() -> bool:
        conditions = existing(kubectl, "deployment", "demo").get("status", {}).get("conditions", [])
        return "ReplicaFailure" in {item["type"] for item in conditions}

    await until(replica_failure)
    await bench.settle()
    assert condition(kubectl, "Degraded")["reason"] == "QuotaExceeded"
    assert "quota" in condition(kubectl, "Ready")["message"]


async def test_replicas_pass_the_restricted_pod_security_level(kubectl: Kubectl, bench: Bench) -> None:
    level = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", kubectl.namespace, level)
    apply(kubectl, SPEC)
    await bench.settle()
    await until(lambda: len(pod_names(kubectl)) == 3)


async def test_a_refused_child_is_reported_and_does_not_stop_the_others(
    kubectl: Kubectl, bench: Bench
) -> None:
    apply(kubectl, {"scheduling": {"affinity": {"nodeAffinity": {"nonsense": True}}}})
    result = await bench.result()
    assert result.requeue_after is not None
    assert condition(kubectl, "Degraded")["reason"] == "ApplyRefused"
    assert "nonsense" in condition(kubectl, "Ready")["message"]
    assert kubectl.get("service", "demo") is not None
    apply(kubectl, {"scheduling": {}})
    kubectl("patch", "mcq", "demo", "--type=merge", "--patch", '{"spec":{"scheduling":{"affinity":null}}}')
    await bench.settle()
    assert condition(kubectl, "Degraded")["status"] == "False"


@pytest.mark.parametrize("deployed", [False, True])
async def test_a_deeply_nested_spec_is_reported(kubectl: Kubectl, bench: Bench, deployed: bool) -> None:
    """The API server accepts 10,000 levels in a field without a schema; Python's decoders accept a tenth of that."""
    path = f"/apis/mcq-operator.dev/v1alpha1/namespaces/{kubectl.namespace}/mcqsolvers"
    deep = '{"a":' * 2_000 + "1" + "}" * 2_000
    metadata = {"name": "demo"}
    if deployed:
        apply(kubectl, {})
        await bench.settle()
        metadata["resourceVersion"] = existing(kubectl, "mcq", "demo")["metadata"]["resourceVersion"]
    solver = (
        '{"apiVersion":"mcq-operator.dev/v1alpha1","kind":"MCQSolver",'
        f'"metadata":{json.dumps(metadata)},"spec":{{"scheduling":{{"affinity":{deep}}}}}}}'
    )
    verb = ("replace", f"{path}/demo") if deployed else ("create", path)
    kubectl(verb[0], "--raw", verb[1], "-f", "-", stdin=solver)
    for _ in range(2):
        await bench.reconcile()
    conditions = kubectl("get", "mcq", "demo", "-o", "jsonpath={.status.conditions[?(@.type=='Degraded')]}")
    degraded = json.loads(conditions)
    assert degraded["reason"] == "ApplyRefused"
    assert "affinity.a" in degraded["message"]


async def test_a_cluster_without_image_volumes_is_named(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, {"model": {"uri": "oci://registry.example.com/qwen:v1"}})
    await bench.settle()
    assert condition(kubectl, "Degraded")["reason"] == "NoImageVolumes"
    assert "feature gate ImageVolume" in condition(kubectl, "Ready")["message"]
    kubectl("patch", "mcq", "demo", "--type=merge", "--patch", '{"spec":{"model":null}}')
    await bench.settle()
    assert condition(kubectl, "Degraded")["status"] == "False"


async def test_a_broken_image_is_named_from_the_pods_status(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, {"replicas": 1})
    await bench.settle()
    await until(lambda: pod_names(kubectl))
    (pod,) = pod_names(kubectl)
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    container = {"name": "service", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    status = {"containerStatuses": [{**container, "state": {"waiting": waiting}}]}
    patch(kubectl, "pod", pod, {"status": status}, subresource="status")
    await bench.reconcile()
    assert condition(kubectl, "Degraded")["reason"] == "ImagePullBackOff"
    assert "spec.image" in condition(kubectl, "Ready")["message"]
