"""A tenant can't use foreign objects by the name of a solver or an exam."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.operator.adversary.conftest import Tenant
from tests.operator.conftest import ROOT, Bench, Kubectl
from tests.operator.live import condition, existing, kubelet, patch, until

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


def first_quick(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return the rows, named after the owner of the object; `make test` runs the first, `make test-adversary` all."""
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
    # what is someone else's, what the tenant asks for, and what must not be made
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


@pytest.mark.parametrize(("theirs", "spec", "never"), first_quick(SOLVERS))
async def test_a_solver_is_named_so_that_it_would_use(
    kubectl: Kubectl,
    bench: Bench,
    tenant: Tenant,
    theirs: Manifest,
    spec: dict[str, Any],
    never: list[tuple[str, str]],
) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(theirs))
    kind, name = theirs["kind"], theirs["metadata"]["name"]
    tenant.solver(spec)
    await bench.settle()
    assert [kubectl.get(*each) for each in never] == [None] * len(never)
    assert {"labels", "ownerReferences"}.isdisjoint(existing(kubectl, kind, name)["metadata"])
    degraded = condition(kubectl, "Degraded")
    assert degraded["reason"] == "Conflict"
    assert f"{kind} {name} exists and does not belong to this MCQSolver" in degraded["message"]
    assert "does not apply the objects that depend on it: " in degraded["message"]
    # Once the name is free, all is made.
    kubectl("delete", kind, name)
    await bench.settle()
    assert None not in [kubectl.get(*each) for each in never]
    assert condition(kubectl, "Degraded")["reason"] != "Conflict"


EXAMS: list[tuple[Manifest, list[tuple[str, str]]]] = [
    (foreign("ServiceAccount", "aqua-exam"), [("rolebinding", "aqua-exam")]),
    (foreign("Role", "aqua-exam", f"{RBAC}/v1", rules=[]), [("rolebinding", "aqua-exam")]),
    (foreign("ConfigMap", "aqua-results"), [("role", "aqua-exam"), ("rolebinding", "aqua-exam")]),
]


@pytest.mark.parametrize(("theirs", "never"), first_quick(EXAMS))
async def test_an_exam_is_named_so_that_it_would_use(
    kubectl: Kubectl, bench: Bench, tenant: Tenant, theirs: Manifest, never: list[tuple[str, str]]
) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(theirs))
    tenant.solver({"replicas": 1, "storage": {"cache": {"type": "EmptyDir"}}})
    await bench.settle()
    await kubelet(kubectl, replicas=1)
    await bench.settle()
    assert existing(kubectl, "mcq", "demo")["status"]["answering"]
    tenant.exam({"solverRef": {"name": "demo"}, "questions": {"configMapRef": {"name": "questions"}}})
    key = ExamKey(bench.namespace, "aqua")
    await bench.settle(key)
    assert [kubectl.get(*each) for each in never] == [None] * len(never)
    assert kubectl.list("jobs") == []
    reported = {each["type"]: each for each in existing(kubectl, "mcqexam", "aqua")["status"]["conditions"]}
    assert reported["Complete"]["reason"] == "Conflict"
    kubectl("delete", theirs["kind"], theirs["metadata"]["name"])
    await bench.settle(key)
    assert None not in [kubectl.get(*each) for each in never]
    assert len(kubectl.list("jobs")) == 1


async def test_an_exam_sends_its_api_key_to_the_service_of_someone_else(
    kubectl: Kubectl, bench: Bench, tenant: Tenant
) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(foreign("Service", "demo", spec={"ports": [{"port": 80}]})))
    tenant.solver({"replicas": 1, "storage": {"cache": {"type": "EmptyDir"}}})
    await bench.settle()
    await kubelet(kubectl, replicas=1)
    await bench.settle()
    assert existing(kubectl, "mcq", "demo")["status"].get("answering") is False
    tenant.exam({"solverRef": {"name": "demo"}, "questions": {"configMapRef": {"name": "questions"}}})
    await bench.settle(ExamKey(bench.namespace, "aqua"))
    assert kubectl.list("jobs") == []


async def test_replicas_are_changed_while_their_identity_is_someone_elses(
    kubectl: Kubectl, bench: Bench, tenant: Tenant
) -> None:
    """The replicas stay unchanged after the identity became foreign."""
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
    "what",
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
def test_an_author_asks_the_api_server_to(tenant: Tenant, what: tuple[str, ...]) -> None:
    """The rights of an author, on which the other cases build."""
    assert tenant.run("auth", "can-i", *what).stdout.strip() == "no"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "verb", "may"),
    [
        ("view", "get", True),
        ("view", "create", False),
        ("edit", "get", True),
        ("edit", "create", True),
        ("admin", "delete", True),
    ],
)
async def test_kubernetes_own_roles_let_a_user_handle_solvers_as_their_names_say(
    cluster_kubectl: Kubectl, kubectl: Kubectl, role: str, verb: str, may: bool
) -> None:
    cluster_kubectl("apply", "--server-side", "-f", str(ROOT / "config/rbac/users.yaml"))
    user = f"{role}-{kubectl.namespace}"
    kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={user}")
    for kind in "mcqsolvers", "mcqexams":
        asked = ("auth", "can-i", verb, f"{kind}.mcq-operator.dev", f"--as={user}")
        # The controller manager aggregates roles a moment later.
        await until(lambda asked=asked: kubectl.run(*asked).stdout.strip() == ("yes" if may else "no"))  # type: ignore[misc]
