"""A foreign admission webhook does not answer, on a real API server and only in the test's namespace."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.operator.conftest import Bench, Kubectl
from tests.operator.live import NAMES, SPEC, apply, condition, existing, mark_pods_ready, patch, until
from tests.operator.test_process import Operator

PLURALS = {
    "serviceaccount": "serviceaccounts",
    "persistentvolumeclaim": "persistentvolumeclaims",
    "service": "services",
    "deployment": "deployments",
    "poddisruptionbudget": "poddisruptionbudgets",
    "configmap": "configmaps",
    "ingress": "ingresses",
}
BreakWebhook = Callable[..., None]


@pytest.fixture
def break_webhook(kubectl: Kubectl, cluster_kubectl: Kubectl) -> Iterator[BreakWebhook]:
    """A function that registers an unreachable webhook for some resources; the webhook is removed afterwards."""

    def register(*resources: str, operations: tuple[str, ...] = ("CREATE", "UPDATE")) -> None:
        webhook = {
            "name": "nowhere.example.com",
            "clientConfig": {"url": "https://127.0.0.1:9/validate"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": kubectl.namespace}},
            "rules": [
                {
                    "apiGroups": ["*"],
                    "apiVersions": ["*"],
                    "operations": [*operations],
                    "resources": [*resources],
                }
            ],
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 1,
        }
        configuration = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": kubectl.namespace},
            "webhooks": [webhook],
        }
        cluster_kubectl("apply", "-f", "-", stdin=json.dumps(configuration))

    yield register
    remove_webhook(cluster_kubectl, kubectl.namespace)


def remove_webhook(kubectl: Kubectl, namespace: str) -> None:
    kubectl("delete", "validatingwebhookconfiguration", namespace, "--ignore-not-found")


def webhook_is_called(kubectl: Kubectl, kind: str) -> bool:
    """Return whether the API server calls the webhook yet; it reads the configuration with a delay."""
    attempt = kubectl.run("annotate", kind, NAMES[kind], "--overwrite", "tried=1", "--dry-run=server")
    return "failed calling webhook" in attempt.stderr


@pytest.mark.parametrize("kind", NAMES)
async def test_a_broken_webhook_is_reported_and_does_not_stop_the_other_children(
    kubectl: Kubectl, bench: Bench, break_webhook: BreakWebhook, kind: str
) -> None:
    kubectl("create", "secret", "generic", "probe")
    break_webhook(PLURALS[kind], "secrets")
    await until(
        lambda: "failed calling" in kubectl.run("annotate", "secret", "probe", "a=b", "--overwrite").stderr
    )
    apply(kubectl, SPEC)
    result = await bench.result()
    created = {other for other, name in NAMES.items() if kubectl.get(other, name)}
    assert created == NAMES.keys() - {kind}
    for each in "Ready", "Degraded":
        assert condition(kubectl, each)["reason"] == "ApplyFailed"
        assert 'failed calling webhook "nowhere.example.com"' in condition(kubectl, each)["message"]
        assert NAMES[kind] in condition(kubectl, each)["message"]
    assert condition(kubectl, "Ready")["status"] == "False"
    assert result.error is not None
    assert existing(kubectl, "mcq", "demo")["status"]["url"] == "http://mcq.example.com"


async def test_a_refused_change_makes_ready_false_and_the_rest_is_applied_and_pruned(
    kubectl: Kubectl, bench: Bench, break_webhook: BreakWebhook, cluster_kubectl: Kubectl
) -> None:
    apply(kubectl, SPEC)
    await bench.settle()
    await mark_pods_ready(kubectl)
    await bench.settle()
    assert condition(kubectl, "Ready")["status"] == "True", condition(kubectl, "Ready")
    break_webhook("services")
    await until(lambda: webhook_is_called(kubectl, "service"))
    patch(
        kubectl, "mcq", "demo", {"spec": {"ingress": {"enabled": False}, "disruption": {"minAvailable": 2}}}
    )
    patch(kubectl, "deployment", "demo", {"spec": {"replicas": 2}})
    kubectl.run("delete", "service", "demo")
    writes = await bench.reconcile()
    assert ("Ingress", "delete") in writes
    assert existing(kubectl, "poddisruptionbudget", "demo")["spec"]["minAvailable"] == 2
    assert existing(kubectl, "deployment", "demo")["spec"]["replicas"] == 3
    ready = condition(kubectl, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ApplyFailed")
    assert ready["observedGeneration"] == existing(kubectl, "mcq", "demo")["metadata"]["generation"]
    remove_webhook(cluster_kubectl, kubectl.namespace)
    await until(lambda: kubectl.run("create", "service", "clusterip", "probe", "--tcp=80").returncode == 0)
    await bench.settle()
    assert condition(kubectl, "Degraded")["status"] == "False"


async def test_a_webhook_that_refuses_a_deletion_is_reported(
    kubectl: Kubectl, bench: Bench, break_webhook: BreakWebhook
) -> None:
    apply(kubectl, SPEC)
    await bench.settle()
    break_webhook("ingresses", operations=("DELETE",))
    await until(
        lambda: "failed calling" in kubectl.run("delete", "ingress", "demo", "--dry-run=server").stderr
    )
    apply(kubectl, {})
    await bench.reconcile()
    assert condition(kubectl, "Degraded")["reason"] == "DeleteFailed"
    assert "Ingress demo" in condition(kubectl, "Degraded")["message"]
    inventory = existing(kubectl, "mcq", "demo")["status"]["inventory"]
    assert "Ingress" in {item["kind"] for item in inventory}


@pytest.fixture
async def operator(kubectl: Kubectl, tmp_path: Path) -> AsyncIterator[Operator]:
    operator = Operator(
        kubectl.kubeconfig, tmp_path / "operator.log", MCQ_OPERATOR_NAMESPACES=kubectl.namespace
    )
    await operator.start()
    yield operator
    await operator.stop()


async def test_the_operator_retries_until_the_webhook_answers(
    kubectl: Kubectl, cluster_kubectl: Kubectl, operator: Operator, break_webhook: BreakWebhook
) -> None:
    kubectl("create", "configmap", "probe")
    break_webhook("services", "configmaps")
    await until(
        lambda: "failed calling" in kubectl.run("annotate", "cm", "probe", "a=b", "--overwrite").stderr
    )
    apply(kubectl, {})
    await until(lambda: "status" in existing(kubectl, "mcq", "demo"))
    assert condition(kubectl, "Ready")["reason"] == "ApplyFailed"
    remove_webhook(cluster_kubectl, kubectl.namespace)
    await until(lambda: kubectl.get("service", "demo"), 30)
    await until(lambda: condition(kubectl, "Degraded")["status"] == "False")
    _, metrics = await operator.get("/metrics")
    failed = next(line for line in metrics.splitlines() if 'reconciles_total{outcome="failed"}' in line)
    assert float(failed.rpartition(" ")[2]) >= 1
    assert "Traceback" not in operator.log()
