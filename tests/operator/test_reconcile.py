"""The reconcile against a real API server with its real controllers; Pods' statuses are set as a kubelet would."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.operator.conftest import Bench, Kubectl

from mcq_operator.models import Manifest
from mcq_operator.models.observed import Verdict

NAMES = {
    "serviceaccount": "demo",
    "configmap": "demo-config",
    "persistentvolumeclaim": "demo-model-cache",
    "service": "demo",
    "deployment": "demo",
    "poddisruptionbudget": "demo",
    "ingress": "demo",
}
SPEC = {"ingress": {"enabled": True, "className": "traefik", "host": "mcq.example.com"}}
FOREIGN_SERVICE = {"metadata": {"name": "demo"}, "spec": {"ports": [{"port": 1234}]}}


def apply(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    solver = {
        "apiVersion": "mcq-operator.dev/v1alpha1",
        "kind": "MCQSolver",
        "metadata": {"name": "demo"},
        "spec": spec,
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(solver))


def patch(kubectl: Kubectl, kind: str, name: str, change: dict[str, Any], *more: str) -> None:
    kubectl("patch", kind, name, "--type=merge", "--patch", json.dumps(change), *more)


def existing(kubectl: Kubectl, kind: str, name: str) -> Manifest:
    found = kubectl.get(kind, name)
    assert found is not None, f"{kind} {name} is missing"
    return found


def condition(kubectl: Kubectl, kind: str) -> dict[str, Any]:
    conditions = existing(kubectl, "mcq", "demo")["status"]["conditions"]
    return next(item for item in conditions if item["type"] == kind)


async def until(true: Callable[[], Any], seconds: float = 15) -> None:
    for _ in range(int(seconds / 0.1)):
        if true():
            return
        await asyncio.sleep(0.1)
    message = f"not within {seconds} s: {true}"
    raise AssertionError(message)


def names_of_pods(kubectl: Kubectl) -> list[str]:
    return kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.name}").split()


async def kubelet(kubectl: Kubectl, replicas: int = 3) -> None:
    """Let every replica be ready, as far as the Pods' statuses tell, and the Deployment know it."""

    def pods() -> list[str]:
        return names_of_pods(kubectl)

    await until(lambda: len(pods()) == replicas)
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    for name in pods():
        patch(kubectl, "pod", name, ready, "--subresource=status")

    def available() -> bool:
        status = existing(kubectl, "deployment", "demo")["status"]
        return bool(status.get("availableReplicas", 0) == status.get("replicas") == replicas)

    await until(available)


async def test_a_solver_becomes_its_objects_in_one_reconcile(kubectl: Kubectl, bench: Bench) -> None:
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
        "storage": {"cache": {"size": "16384Mi"}},
        "tracing": {"enabled": True, "endpoint": "http://jaeger:4318"},
        "disruption": {"minAvailable": "50%"},
    }
    apply(kubectl, everything)
    await bench.settle()
    await kubelet(kubectl)
    await bench.settle()
    assert condition(kubectl, "Ready")["status"] == "True"
    before = {kind: existing(kubectl, kind, name)["metadata"] for kind, name in NAMES.items()}
    if restart:
        bench.restart()
    for _ in range(5):
        assert await bench.reconcile() == []
    for kind, name in NAMES.items():
        assert existing(kubectl, kind, name)["metadata"]["resourceVersion"] == before[kind]["resourceVersion"]


@pytest.mark.parametrize("kind", [kind for kind in NAMES if kind != "persistentvolumeclaim"])
async def test_a_deleted_child_comes_back(kubectl: Kubectl, bench: Bench, kind: str) -> None:
    apply(kubectl, SPEC)
    await bench.reconcile()
    kubectl("delete", kind, NAMES[kind])
    await bench.reconcile()
    assert "deletionTimestamp" not in existing(kubectl, kind, NAMES[kind])["metadata"]


DRIFTS: list[tuple[str, dict[str, Any], list[str], Any]] = [
    # kind, what someone changes, the field that must come back, and to what
    ("serviceaccount", {"automountServiceAccountToken": True}, ["automountServiceAccountToken"], False),
    ("configmap", {"data": {"MCQ_PORT": "1"}}, ["data", "MCQ_PORT"], "8000"),
    ("configmap", {"data": {"MCQ_PORT": None}}, ["data", "MCQ_PORT"], "8000"),
    (
        "persistentvolumeclaim",
        {"metadata": {"labels": {"app.kubernetes.io/component": "x"}}},
        ["metadata", "labels", "app.kubernetes.io/component"],
        "inference",
    ),
    (
        "service",
        {"spec": {"selector": {"other": "pods"}}},
        ["spec", "selector"],
        {"app.kubernetes.io/name": "mcq-solver", "app.kubernetes.io/instance": "demo"},
    ),
    ("deployment", {"spec": {"replicas": 1}}, ["spec", "replicas"], 3),
    (
        "deployment",
        {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 2}}}},
        ["spec", "strategy", "rollingUpdate", "maxUnavailable"],
        0,
    ),
    ("poddisruptionbudget", {"spec": {"maxUnavailable": 3}}, ["spec", "maxUnavailable"], 1),
    ("ingress", {"spec": {"ingressClassName": "other"}}, ["spec", "ingressClassName"], "traefik"),
    ("ingress", {"metadata": {"labels": None}}, ["metadata", "labels", "app.kubernetes.io/instance"], "demo"),
]


@pytest.mark.parametrize(
    ("kind", "change", "field", "value"), DRIFTS, ids=[f"{row[0]}-{row[2][-1]}" for row in DRIFTS]
)
async def test_an_edited_child_is_repaired(
    kubectl: Kubectl, bench: Bench, kind: str, change: dict[str, Any], field: list[str], value: Any
) -> None:
    apply(kubectl, SPEC)
    await bench.reconcile()
    patch(kubectl, kind, NAMES[kind], change)
    await bench.reconcile()
    found: Any = existing(kubectl, kind, NAMES[kind])
    for key in field:
        found = found[key]
    assert found == value


async def test_what_others_add_to_a_child_is_left_alone(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, SPEC)
    await bench.settle()
    kubectl("annotate", "service", "demo", "example.com/note=mine")
    assert await bench.reconcile() == []
    assert "example.com/note" in existing(kubectl, "service", "demo")["metadata"]["annotations"]


async def test_a_field_that_the_spec_drops_is_dropped_from_the_child(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, {"scheduling": {"nodeSelector": {"disk": "fast"}}})
    await bench.reconcile()
    apply(kubectl, {})
    await bench.reconcile()
    pod = existing(kubectl, "deployment", "demo")["spec"]["template"]["spec"]
    assert "nodeSelector" not in pod


async def test_a_disabled_ingress_is_deleted_and_a_foreign_one_is_left_alone(
    kubectl: Kubectl, bench: Bench
) -> None:
    apply(kubectl, SPEC)
    await bench.reconcile()
    kubectl("create", "ingress", "foreign", "--rule=a.b/*=demo:80")
    apply(kubectl, {})
    assert ("Ingress", "delete") in await bench.reconcile()
    assert kubectl.get("ingress", "demo") is None
    assert kubectl.get("ingress", "foreign") is not None
    await bench.reconcile()
    inventory = existing(kubectl, "mcq", "demo")["status"]["inventory"]
    assert "Ingress" not in {item["kind"] for item in inventory}


async def test_a_child_whose_creation_was_not_recorded_is_pruned_too(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, SPEC)
    await bench.reconcile()
    patch(kubectl, "mcq", "demo", {"status": {"inventory": None}}, "--subresource=status")
    apply(kubectl, {})
    await bench.reconcile()
    assert kubectl.get("ingress", "demo") is None


async def test_another_cache_deletes_the_claim_that_was_made(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, {"replicas": 0})
    await bench.reconcile()
    apply(kubectl, {"replicas": 0, "storage": {"cache": {"type": "EmptyDir", "size": "8Gi"}}})
    await bench.reconcile()
    await until(lambda: kubectl.get("pvc", "demo-model-cache") is None)


async def test_a_foreign_object_of_the_same_name_is_told_of_and_never_overwritten(
    kubectl: Kubectl, bench: Bench
) -> None:
    foreign = {"apiVersion": "v1", "kind": "Service", **FOREIGN_SERVICE}
    kubectl("create", "-f", "-", stdin=json.dumps(foreign))
    before = existing(kubectl, "service", "demo")
    apply(kubectl, {})
    await bench.reconcile()
    assert existing(kubectl, "service", "demo") == before
    assert condition(kubectl, "Ready")["reason"] == "Conflict"
    assert "Service demo exists and belongs to someone else" in condition(kubectl, "Degraded")["message"]
    assert kubectl.get("deployment", "demo") is not None
    kubectl("delete", "service", "demo")
    await bench.reconcile()
    assert condition(kubectl, "Degraded")["status"] == "False"
    assert existing(kubectl, "service", "demo")["spec"]["ports"][0]["port"] == 80


async def test_orphans_of_a_solver_of_this_name_are_adopted(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, SPEC)
    await bench.reconcile()
    claim = existing(kubectl, "pvc", "demo-model-cache")["metadata"]["uid"]
    kubectl("delete", "mcq", "demo", "--cascade=orphan")
    apply(kubectl, SPEC)
    await bench.settle()
    uid = existing(kubectl, "mcq", "demo")["metadata"]["uid"]
    for kind, name in NAMES.items():
        owners = existing(kubectl, kind, name)["metadata"]["ownerReferences"]
        assert [owner["uid"] for owner in owners] == [uid]
    assert existing(kubectl, "pvc", "demo-model-cache")["metadata"]["uid"] == claim


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


async def test_a_deleted_solver_takes_everything_with_it(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, SPEC)
    await bench.settle()
    kubectl("delete", "mcq", "demo", "--timeout=20s")
    assert await bench.reconcile() == []
    kinds = ",".join([*NAMES, "replicaset", "pods"])
    selector = "app.kubernetes.io/managed-by=mcq-operator"
    await until(lambda: not kubectl("get", kinds, "-l", selector, "-o", "name").split(), seconds=60)


async def test_ready_comes_with_available_replicas_and_an_answer_and_goes_with_them(
    kubectl: Kubectl, bench: Bench
) -> None:
    bench.verdict = Verdict(outcome="failed", detail="HTTP 500: broken")
    apply(kubectl, SPEC)
    await bench.settle()
    assert condition(kubectl, "Ready")["status"] == "False"
    await kubelet(kubectl)
    await bench.settle()
    assert condition(kubectl, "Ready")["reason"] == "CanaryFailed"
    assert "HTTP 500: broken" in condition(kubectl, "Ready")["message"]
    bench.verdict = Verdict(outcome="answered")
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


async def test_a_pod_that_cannot_be_created_is_explained(kubectl: Kubectl, bench: Bench) -> None:
    kubectl("create", "quota", "none", "--hard=pods=0")
    apply(kubectl, {})
    await bench.reconcile()

    def told() -> bool:
        conditions = existing(kubectl, "deployment", "demo").get("status", {}).get("conditions", [])
        return "ReplicaFailure" in {item["type"] for item in conditions}

    await until(told)
    await bench.settle()
    assert condition(kubectl, "Degraded")["reason"] == "ReplicaFailure"
    assert "quota" in condition(kubectl, "Ready")["message"]


async def test_what_pod_security_refuses_is_not_ours(kubectl: Kubectl, bench: Bench) -> None:
    level = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", kubectl.namespace, level)
    apply(kubectl, SPEC)
    await bench.settle()
    await until(lambda: len(names_of_pods(kubectl)) == 3)


async def test_a_child_that_the_server_refuses_is_told_of_and_does_not_stop_the_others(
    kubectl: Kubectl, bench: Bench
) -> None:
    apply(kubectl, {"scheduling": {"affinity": {"nodeAffinity": {"nonsense": True}}}})
    result = await bench.result()
    assert result.look_again_in is not None
    assert condition(kubectl, "Degraded")["reason"] == "ApplyRefused"
    assert "nonsense" in condition(kubectl, "Ready")["message"]
    assert kubectl.get("service", "demo") is not None
    apply(kubectl, {"scheduling": {}})
    kubectl("patch", "mcq", "demo", "--type=merge", "--patch", '{"spec":{"scheduling":{"affinity":null}}}')
    await bench.settle()
    assert condition(kubectl, "Degraded")["status"] == "False"


async def test_a_broken_image_is_named_from_the_pods_status(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, {"replicas": 1})
    await bench.settle()
    await until(lambda: names_of_pods(kubectl))
    (pod,) = names_of_pods(kubectl)
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    container = {"name": "service", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    status = {"containerStatuses": [{**container, "state": {"waiting": waiting}}]}
    patch(kubectl, "pod", pod, {"status": status}, "--subresource=status")
    await bench.reconcile()
    assert condition(kubectl, "Degraded")["reason"] == "ImagePullBackOff"
    assert "spec.image" in condition(kubectl, "Ready")["message"]
