"""The operator repairs, prunes and adopts children, and does not change foreign objects."""

import asyncio
import json
from typing import Any

import pytest
from tests.operator.conftest import Bench, Kubectl
from tests.operator.live import NAMES, SPEC, apply, condition, existing, patch, until

FOREIGN_SERVICE = {"metadata": {"name": "demo"}, "spec": {"ports": [{"port": 1234}]}}


@pytest.mark.parametrize("kind", [kind for kind in NAMES if kind != "persistentvolumeclaim"])
async def test_a_deleted_child_comes_back(kubectl: Kubectl, bench: Bench, kind: str) -> None:
    apply(kubectl, SPEC)
    await bench.reconcile()
    kubectl("delete", kind, NAMES[kind])
    await bench.reconcile()
    assert "deletionTimestamp" not in existing(kubectl, kind, NAMES[kind])["metadata"]


DRIFTS: list[tuple[str, dict[str, Any], list[str], Any]] = [
    # kind, the edit, the field that the operator repairs, and its value
    ("serviceaccount", {"automountServiceAccountToken": True}, ["automountServiceAccountToken"], False),
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
    ("poddisruptionbudget", {"spec": {"maxUnavailable": 3}}, ["spec", "maxUnavailable"], "100%"),
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
    actual: Any = existing(kubectl, kind, NAMES[kind])
    for key in field:
        actual = actual[key]
    assert actual == value


async def test_the_additions_of_others_to_a_child_stay(kubectl: Kubectl, bench: Bench) -> None:
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


async def test_a_child_that_the_inventory_lacks_is_pruned_too(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, SPEC)
    await bench.reconcile()
    patch(kubectl, "mcq", "demo", {"status": {"inventory": None}}, subresource="status")
    apply(kubectl, {})
    await bench.reconcile()
    assert kubectl.get("ingress", "demo") is None


async def test_a_change_to_an_empty_dir_cache_deletes_the_claim(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, {"replicas": 0, "storage": {"cache": {"type": "PVC"}}})
    await bench.reconcile()
    existing(kubectl, "pvc", "demo-model-cache")
    apply(kubectl, {"replicas": 0, "storage": {"cache": {"type": "EmptyDir", "size": "8Gi"}}})
    await bench.reconcile()
    await until(lambda: kubectl.get("pvc", "demo-model-cache") is None)


async def test_a_foreign_object_of_the_same_name_is_reported_and_never_overwritten(
    kubectl: Kubectl, bench: Bench
) -> None:
    foreign = {"apiVersion": "v1", "kind": "Service", **FOREIGN_SERVICE}
    kubectl("create", "-f", "-", stdin=json.dumps(foreign))
    before = existing(kubectl, "service", "demo")
    apply(kubectl, {})
    await bench.reconcile()
    assert existing(kubectl, "service", "demo") == before
    assert condition(kubectl, "Ready")["reason"] == "Conflict"
    assert (
        "Service demo exists and does not belong to this MCQSolver"
        in condition(kubectl, "Degraded")["message"]
    )
    assert kubectl.get("deployment", "demo") is not None
    kubectl("delete", "service", "demo")
    await bench.reconcile()
    assert condition(kubectl, "Degraded")["status"] == "False"
    assert existing(kubectl, "service", "demo")["spec"]["ports"][0]["port"] == 80


async def test_the_orphans_of_a_deleted_solver_are_adopted(kubectl: Kubectl, bench: Bench) -> None:
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


async def test_the_newer_of_two_ingresses_with_one_host_is_reported(kubectl: Kubectl, bench: Bench) -> None:
    """The report ends when the older one is deleted. Another path or class is no conflict."""
    kubectl("create", "ingress", "elsewhere", "--class=traefik", "--rule=mcq.example.com/other*=x:80")
    kubectl("create", "ingress", "others", "--class=nginx", "--rule=mcq.example.com/*=x:80")
    kubectl("create", "ingress", "first", "--class=traefik", "--rule=mcq.example.com/*=x:80")
    # Creation times are in whole seconds.
    await asyncio.sleep(1.1)
    apply(kubectl, SPEC)
    result = await bench.result()
    assert result.requeue_after is not None
    assert condition(kubectl, "Degraded")["reason"] == "HostConflict"
    assert f"Ingress {kubectl.namespace}/first" in condition(kubectl, "Ready")["message"]
    kubectl("delete", "ingress", "first")
    bench.restart()
    await bench.settle()
    assert condition(kubectl, "Degraded")["status"] == "False"
    kubectl("create", "ingress", "late", "--class=traefik", "--rule=mcq.example.com/*=x:80")
    bench.restart()
    await bench.settle()
    assert condition(kubectl, "Degraded")["status"] == "False"
