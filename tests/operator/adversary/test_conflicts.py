"""A tenant can't use a foreign object by giving a solver or an exam its name."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.operator.adversary.conftest import Tenant
from tests.operator.conftest import ROOT, Bench, Kubectl
from tests.operator.live import condition, existing, mark_pods_ready, patch, until

from mcq_operator.api import ExamKey, Manifest

BACKUP = {"storage": {"backup": {"uri": "s3://backups"}, "cache": {"type": "EmptyDir"}}}
INGRESS = {"ingress": {"enabled": True, "host": "mcq.example.com"}}
RBAC = "rbac.authorization.k8s.io"
POD = {
    "metadata": {"labels": {"app": "theirs"}},
    "spec": {"containers": [{"name": "app", "image": "theirs"}]},
}


def foreign(kind: str, name: str, api_version: str = "v1", **content: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **content}


def slow_after_first(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return the rows, named after their foreign object; `make test` runs the first, `make test-adversary` all."""
    return [
        pytest.param(
            *row,
            id=f"{row[0]['kind']} {row[0]['metadata']['name']}",
            marks=[pytest.mark.slow] if number else [],
        )
        for number, row in enumerate(rows)
    ]


DEPLOYMENT = {"replicas": 0, "selector": {"matchLabels": {"app": "theirs"}}, "template": POD}
PVC = {"storage": {"cache": {"type": "PVC"}}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}

SOLVERS: list[tuple[Manifest, dict[str, Any], list[tuple[str, str]]]] = [
    # the foreign object, the tenant's spec, and the objects that the operator must not create
    (foreign("ServiceAccount", "demo"), {}, [("deployment", "demo")]),
    (foreign("PersistentVolumeClaim", "demo-model-cache", spec=CLAIM), PVC, [("deployment", "demo")]),
    (foreign("Service", "demo", spec={"ports": [{"port": 80}]}), INGRESS, [("ingress", "demo")]),
    (foreign("Deployment", "demo", "apps/v1", spec=DEPLOYMENT), {"autoscaling": {"enabled": True}},
     [("hpa", "demo")]),
    (foreign("ServiceAccount", "demo-backups"), BACKUP,
     [("rolebinding", "demo-backups"), ("cronjob", "demo-backups")]),
    (foreign("Role", "demo-backups", f"{RBAC}/v1", rules=[]), BACKUP,
     [("rolebinding", "demo-backups"), ("cronjob", "demo-backups")]),
]  # fmt: skip


@pytest.mark.parametrize(("foreign_object", "spec", "withheld"), slow_after_first(SOLVERS))
async def test_a_solver_does_not_use_a_foreign_object_with_its_name(
    kubectl: Kubectl,
    bench: Bench,
    tenant: Tenant,
    foreign_object: Manifest,
    spec: dict[str, Any],
    withheld: list[tuple[str, str]],
) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(foreign_object))
    kind, name = foreign_object["kind"], foreign_object["metadata"]["name"]
    tenant.solver(spec)
    await bench.settle()
    assert [kubectl.get(*each) for each in withheld] == [None] * len(withheld)
    assert {"labels", "ownerReferences"}.isdisjoint(existing(kubectl, kind, name)["metadata"])
    degraded = condition(kubectl, "Degraded")
    assert degraded["reason"] == "Conflict"
    assert f"{kind} {name} exists and does not belong to this MCQSolver" in degraded["message"]
    assert "does not apply the objects that depend on it: " in degraded["message"]
    # When the name is free, the operator creates the other objects.
    kubectl("delete", kind, name)
    await bench.settle()
    assert None not in [kubectl.get(*each) for each in withheld]
    assert condition(kubectl, "Degraded")["reason"] != "Conflict"


EXAMS: list[tuple[Manifest, list[tuple[str, str]]]] = [
    (foreign("ServiceAccount", "aqua-exam"), [("rolebinding", "aqua-exam")]),
    (foreign("Role", "aqua-exam", f"{RBAC}/v1", rules=[]), [("rolebinding", "aqua-exam")]),
    (foreign("ConfigMap", "aqua-results"), [("role", "aqua-exam"), ("rolebinding", "aqua-exam")]),
]


@pytest.mark.parametrize(("foreign_object", "withheld"), slow_after_first(EXAMS))
async def test_an_exam_does_not_use_a_foreign_object_with_its_name(
    kubectl: Kubectl, bench: Bench, tenant: Tenant, foreign_object: Manifest, withheld: list[tuple[str, str]]
) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(foreign_object))
    tenant.solver({"replicas": 1, "storage": {"cache": {"type": "EmptyDir"}}})
    await bench.settle()
    await mark_pods_ready(kubectl, replicas=1)
    await bench.settle()
    assert existing(kubectl, "mcq", "demo")["status"]["answering"]
    tenant.exam({"solverRef": {"name": "demo"}, "questions": {"configMapRef": {"name": "questions"}}})
    key = ExamKey(bench.namespace, "aqua")
    await bench.settle(key)
    assert [kubectl.get(*each) for each in withheld] == [None] * len(withheld)
    assert kubectl.list("jobs") == []
    reported = {each["type"]: each for each in existing(kubectl, "mcqexam", "aqua")["status"]["conditions"]}
    assert reported["Complete"]["reason"] == "Conflict"
    kubectl("delete", foreign_object["kind"], foreign_object["metadata"]["name"])
    await bench.settle(key)
    assert None not in [kubectl.get(*each) for each in withheld]
    assert len(kubectl.list("jobs")) == 1


async def test_an_exam_sends_no_api_key_to_a_foreign_service(
    kubectl: Kubectl, bench: Bench, tenant: Tenant
) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(foreign("Service", "demo", spec={"ports": [{"port": 80}]})))
    tenant.solver({"replicas": 1, "storage": {"cache": {"type": "EmptyDir"}}})
    await bench.settle()
    await mark_pods_ready(kubectl, replicas=1)
    await bench.settle()
    assert existing(kubectl, "mcq", "demo")["status"].get("answering") is False
    tenant.exam({"solverRef": {"name": "demo"}, "questions": {"configMapRef": {"name": "questions"}}})
    await bench.settle(ExamKey(bench.namespace, "aqua"))
    assert kubectl.list("jobs") == []


async def test_replicas_stay_unchanged_while_their_service_account_is_foreign(
    kubectl: Kubectl, bench: Bench, tenant: Tenant
) -> None:
    """The spec's new image does not reach the Deployment."""
    tenant.solver({"replicas": 1})
    await bench.settle()
    patch(kubectl, "sa", "demo", {"metadata": {"ownerReferences": None, "labels": None}})
    tenant.solver({"replicas": 1, "image": "other.example.com/x"})
    await bench.settle()
    pod = existing(kubectl, "deployment", "demo")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] != "other.example.com/x"
    inventory = existing(kubectl, "mcq", "demo")["status"]["inventory"]
    assert "Deployment" in {each["kind"] for each in inventory}


@pytest.mark.parametrize(
    "action",
    [
        ("get", "secrets"),
        ("create", "pods"),
        ("create", "deployments.apps"),
        ("update", "configmaps"),
        ("create", "ingresses.networking.k8s.io"),
        ("patch", "mcqsolvers.mcq-operator.dev", "--subresource=status"),
        ("create", "mcqpolicies.mcq-operator.dev"),
        ("get", "mcqsolvers.mcq-operator.dev", "--namespace=default"),
    ],
    ids=" ".join,
)
def test_an_author_has_no_right_to(tenant: Tenant, action: tuple[str, ...]) -> None:
    """The other tests rely on these limits of an author's rights."""
    assert tenant.run("auth", "can-i", *action).stdout.strip() == "no"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "verb", "allowed"),
    [
        ("view", "get", True),
        ("view", "create", False),
        ("edit", "get", True),
        ("edit", "create", True),
        ("admin", "delete", True),
    ],
)
async def test_the_roles_view_edit_and_admin_cover_our_resources(
    cluster_kubectl: Kubectl, kubectl: Kubectl, role: str, verb: str, allowed: bool
) -> None:
    cluster_kubectl("apply", "--server-side", "-f", str(ROOT / "config/rbac/users.yaml"))
    user = f"{role}-{kubectl.namespace}"
    kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={user}")
    expected = "yes" if allowed else "no"
    for kind in "mcqsolvers", "mcqexams":
        query = ("auth", "can-i", verb, f"{kind}.mcq-operator.dev", f"--as={user}")
        # The controller manager aggregates roles with a delay.
        await until(lambda query=query: kubectl.run(*query).stdout.strip() == expected)  # type: ignore[misc]
