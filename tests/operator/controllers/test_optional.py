"""Kinds that some clusters lack: absent, installed later, removed; with the real CRDs of their projects."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hack.cluster import crds
from kubernetes.client import ApiException
from tests.operator.conftest import Bench, Kubectl
from tests.operator.live import all_created, apply, condition, existing, mark_pods_ready, patch, until
from tests.operator.test_process import Operator

from mcq_operator.api.kinds import OPTIONAL as OPTIONAL_KINDS

pytestmark = pytest.mark.xdist_group("optional kinds")

QUICK = 20.0

OPTIONAL: dict[str, tuple[str, str, dict[str, Any], str]] = {
    # kind: its CRD's module, its resource, the spec that enables it, the condition that reports it
    "ServiceMonitor": (
        crds.PROMETHEUS_OPERATOR,
        "servicemonitors.monitoring.coreos.com",
        {"monitoring": {"serviceMonitor": {"enabled": True, "labels": {"release": "x"}}}},
        "MonitoringReady",
    ),
    "PrometheusRule": (
        crds.PROMETHEUS_OPERATOR,
        "prometheusrules.monitoring.coreos.com",
        {"monitoring": {"alerts": {"enabled": True}}},
        "MonitoringReady",
    ),
    "ScaledObject": (
        crds.KEDA,
        "scaledobjects.keda.sh",
        {"autoscaling": {"enabled": True, "provider": "KEDA", "prometheusAddress": "http://prometheus:9090"}},
        "ScalingReady",
    ),
    "HTTPRoute": (
        crds.GATEWAY_API,
        "httproutes.gateway.networking.k8s.io",
        {"gateway": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["a.example.com"]}},
        "Ready",
    ),
}
KINDS = list(OPTIONAL)


def crd(resource: str) -> Path:
    """Return the file of a CRD."""
    module = next(entry[0] for entry in OPTIONAL.values() if entry[1] == resource)
    plural, _, group = resource.partition(".")
    return next(path for path in crds.files(module) if path.name == f"{group}_{plural}.yaml")


def install(kubectl: Kubectl, resource: str) -> None:
    """Install a kind's CRD and wait until the API server serves it, and says so.

    The CRD is Established before the kind can be listed, and can be listed before it is in the discovery.
    """
    kubectl("apply", "--server-side", "-f", str(crd(resource)))
    plural, _, group = resource.partition(".")
    [version] = {kind.api_version for kind in OPTIONAL_KINDS if kind.plural == plural and kind.group == group}
    for _ in range(300):
        with contextlib.suppress(AssertionError, ApiException):
            kubectl.server.list(resource, "default")
            known = json.loads(kubectl("get", "--raw", f"/apis/{version}"))["resources"]
            if plural in {each["name"] for each in known}:
                return
        time.sleep(0.1)
    message = f"{resource} was not served"
    raise AssertionError(message)


def remove(kubectl: Kubectl, resource: str) -> None:
    """Delete a kind's CRD."""
    kubectl("delete", "crd", resource, "--ignore-not-found", "--timeout=60s")


@pytest.fixture(autouse=True)
def without_optional_kinds(cluster_kubectl: Kubectl) -> Iterator[None]:
    """Delete the CRDs of all optional kinds, before and after each test."""
    for _, resource, _, _ in OPTIONAL.values():
        remove(cluster_kubectl, resource)
    yield
    for _, resource, _, _ in OPTIONAL.values():
        remove(cluster_kubectl, resource)


@pytest.fixture
async def operator(
    kubectl: Kubectl, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Operator]:
    """A running operator of this test's namespace: others may still have the solvers of earlier tests."""
    operator = Operator(
        kubectl.kubeconfig,
        tmp_path / "operator.log",
        MCQ_OPERATOR_NAMESPACES=kubectl.namespace,
        MCQ_OPERATOR_DISCOVERY_SECONDS=getattr(request, "param", "0.5"),
    )
    await operator.start()
    yield operator
    await operator.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_absent_crd_is_reported_and_its_object_is_created_when_it_appears(
    kubectl: Kubectl, operator: Operator, kind: str
) -> None:
    """When the CRD is removed, the condition reports it again, and the operator goes on."""
    _, resource, spec, reported = OPTIONAL[kind]
    apply(kubectl, spec)
    await until(lambda: _reason(kubectl, reported) == "CRDNotInstalled", QUICK)
    await until(lambda: all_created(kubectl), QUICK)
    await operator.quiet()
    # The kind is not watched: kopf would log the server's 404.
    assert resource.partition(".")[0] not in operator.log()
    install(kubectl, resource)
    await until(lambda: kubectl.get(resource, "demo"), QUICK)
    await until(lambda: _reason(kubectl, reported) != "CRDNotInstalled", QUICK)
    # The kind is watched now, so the operator repairs drift.
    kubectl("delete", resource, "demo")
    await until(lambda: kubectl.get(resource, "demo"), QUICK)
    remove(kubectl, resource)
    await until(lambda: _reason(kubectl, reported) == "CRDNotInstalled", QUICK)
    kubectl("delete", "service", "demo")
    await until(lambda: kubectl.get("service", "demo"), QUICK)
    assert "Traceback" not in operator.log()


@pytest.mark.parametrize("operator", ["6"], indirect=True)
async def test_a_watch_of_a_removed_crd_waits_for_discovery(kubectl: Kubectl, operator: Operator) -> None:
    """The watch gets a 404 long before the discovery, and the operator goes on."""
    _, resource, spec, reported = OPTIONAL["ServiceMonitor"]
    install(kubectl, resource)
    apply(kubectl, spec)
    await until(lambda: kubectl.get(resource, "demo"), QUICK)
    remove(kubectl, resource)
    await until(lambda: "servicemonitors" in operator.log(), QUICK)  # kopf tries again
    kubectl("delete", "service", "demo")
    await until(lambda: kubectl.get("service", "demo"), QUICK)
    await until(lambda: _reason(kubectl, reported) == "CRDNotInstalled", QUICK)
    assert "Traceback" not in operator.log()


@pytest.mark.parametrize("kind", KINDS)
async def test_each_optional_child_is_created_and_deleted_alone(
    kubectl: Kubectl, bench: Bench, kind: str
) -> None:
    """The real CRD accepts it, a settled reconcile writes nothing, and disabling it deletes nothing else."""
    _, resource, spec, _ = OPTIONAL[kind]
    install(kubectl, resource)
    await bench.cluster.discover()
    apply(kubectl, spec)
    await bench.settle()
    owner = existing(kubectl, resource, "demo")["metadata"]["ownerReferences"][0]
    assert owner["uid"] == existing(kubectl, "mcq", "demo")["metadata"]["uid"]
    before = _uids(kubectl)
    patch(kubectl, "mcq", "demo", {"spec": _disabled(spec)})
    await bench.settle()
    assert kubectl.get(resource, "demo") is None
    assert _uids(kubectl) == before


async def test_an_http_route_takes_no_requests_of_a_route_of_another_namespace(
    kubectl: Kubectl, bench: Bench, cluster_kubectl: Kubectl
) -> None:
    _, resource, spec, _ = OPTIONAL["HTTPRoute"]
    install(kubectl, resource)
    other = replace(kubectl, namespace=f"{kubectl.namespace}-victim")
    cluster_kubectl.server.create_namespace(other.namespace)
    foreign_route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "theirs"},
        "spec": {"parentRefs": [{"name": "other"}], "hostnames": ["*.example.com"]},
    }
    other("create", "-f", "-", stdin=json.dumps(foreign_route))
    bench.restart(other.namespace)
    await bench.cluster.discover()
    apply(kubectl, {"gateway": {**spec["gateway"], "path": "/zz"}})
    await bench.settle()
    assert kubectl.get(resource, "demo") is None
    ready = condition(kubectl, "Ready")
    assert ready["reason"] == "HostConflict"
    assert (
        f"HTTPRoute {other.namespace}/theirs already takes the requests of *.example.com/" in ready["message"]
    )
    cluster_kubectl.server.delete_namespace(other.namespace)


async def test_the_operator_leaves_the_number_of_replicas_to_the_autoscaler(
    kubectl: Kubectl, bench: Bench
) -> None:
    """The number stays when autoscaling is enabled; then only the autoscaler changes it."""
    apply(kubectl, {"replicas": 3})
    await bench.settle()
    await mark_pods_ready(kubectl)
    # The minimum is the current number, so the real HPA controller changes nothing.
    patch(kubectl, "mcq", "demo", {"spec": {"autoscaling": {"enabled": True, "minReplicas": 3}}})
    await bench.settle()
    assert _replicas(kubectl) == 3
    assert kubectl.get("hpa", "demo") is not None
    kubectl("scale", "deployment", "demo", "--replicas=5")
    await bench.settle()
    assert _replicas(kubectl) == 5
    patch(kubectl, "mcq", "demo", {"spec": {"answering": {"maxReasoningTokens": 11}}})
    await bench.settle()
    assert _replicas(kubectl) == 5
    assert condition(kubectl, "ScalingReady")["status"] != "True"
    patch(kubectl, "mcq", "demo", {"spec": {"autoscaling": {"enabled": False}}})
    await bench.settle()
    assert _replicas(kubectl) == 3
    assert kubectl.get("hpa", "demo") is None
    assert condition(kubectl, "ScalingReady")["reason"] == "Fixed"


@pytest.mark.slow
async def test_the_real_autoscaler_scales_to_its_minimum_and_reports_a_missing_metric(
    kubectl: Kubectl, bench: Bench
) -> None:
    """The test cluster does not serve the metric."""
    apply(kubectl, {"replicas": 1, "autoscaling": {"enabled": True, "minReplicas": 2}})
    await bench.settle()
    await until(lambda: _replicas(kubectl) == 2, 60)

    async def current_reason() -> str:
        await bench.settle()
        return str(condition(kubectl, "ScalingReady")["reason"])

    for _ in range(60):
        if await current_reason() == "FailedGetPodsMetric":
            break
        await asyncio.sleep(0.5)
    assert "spec.monitoring.serviceMonitor" in condition(kubectl, "ScalingReady")["message"]


def _disabled(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a patch that disables everything that the spec enables."""
    return {
        name: False if name == "enabled" else _disabled(value)
        for name, value in spec.items()
        if name == "enabled" or (isinstance(value, dict) and _disabled(value))
    }


def _reason(kubectl: Kubectl, kind: str) -> str:
    conditions = existing(kubectl, "mcq", "demo").get("status", {}).get("conditions", [])
    return next((str(item["reason"]) for item in conditions if item["type"] == kind), "")


def _replicas(kubectl: Kubectl) -> int:
    return int(existing(kubectl, "deployment", "demo")["spec"]["replicas"])


def _uids(kubectl: Kubectl) -> set[str]:
    kinds = "serviceaccount,service,deployment,poddisruptionbudget,persistentvolumeclaim"
    selector = "app.kubernetes.io/managed-by=mcq-operator"
    return set(kubectl("get", kinds, "-l", selector, "-o", "jsonpath={.items[*].metadata.uid}").split())
