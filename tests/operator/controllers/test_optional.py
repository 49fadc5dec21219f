"""Kinds that not every cluster knows: absent, appearing, removed; with the real CRDs of their projects."""

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
from tests.operator.live import all_made, apply, condition, existing, kubelet, patch, until
from tests.operator.test_process import Operator

pytestmark = pytest.mark.xdist_group("optional kinds")

QUICK = 20.0

OPTIONAL: dict[str, tuple[str, str, dict[str, Any], str]] = {
    # kind: its CRD's module, its resource, the spec that asks for it, the condition that tells of it
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
    """The file of one CRD."""
    module = next(entry[0] for entry in OPTIONAL.values() if entry[1] == resource)
    plural, _, group = resource.partition(".")
    return next(path for path in crds.files(module) if path.name == f"{group}_{plural}.yaml")


def install(kubectl: Kubectl, resource: str) -> None:
    """Make the kind known."""
    kubectl("apply", "--server-side", "-f", str(crd(resource)))
    # Established is said before the kind can be listed.
    for _ in range(300):
        with contextlib.suppress(AssertionError, ApiException):
            kubectl.server.list(resource, "default")
            return
        time.sleep(0.1)
    message = f"{resource} was not served"
    raise AssertionError(message)


def remove(kubectl: Kubectl, resource: str) -> None:
    """Make the kind unknown."""
    kubectl("delete", "crd", resource, "--ignore-not-found", "--timeout=60s")


@pytest.fixture(autouse=True)
def bare(cluster_kubectl: Kubectl) -> Iterator[None]:
    """A cluster that knows none of them, before and after."""
    for _, resource, _, _ in OPTIONAL.values():
        remove(cluster_kubectl, resource)
    yield
    for _, resource, _, _ in OPTIONAL.values():
        remove(cluster_kubectl, resource)


@pytest.fixture
async def operator(
    kubectl: Kubectl, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Operator]:
    """A running operator of this test's namespace: in others, solvers of earlier tests are on their way out."""
    created = Operator(
        kubectl.kubeconfig,
        tmp_path / "operator.log",
        MCQ_OPERATOR_NAMESPACES=kubectl.namespace,
        MCQ_OPERATOR_DISCOVERY_SECONDS=getattr(request, "param", "0.5"),
    )
    await created.start()
    yield created
    await created.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_absent_crd_is_reported_without_a_loop_and_when_it_appears_the_object_does(
    kubectl: Kubectl, operator: Operator, kind: str
) -> None:
    """When the CRD is removed, the condition reports it again, and everything else goes on."""
    _, resource, spec, reported = OPTIONAL[kind]
    apply(kubectl, spec)
    await until(lambda: _reason(kubectl, reported) == "CRDNotInstalled", QUICK)
    await until(lambda: all_made(kubectl), QUICK)
    await operator.quiet()
    # Nor is it watched: kopf would tell of the server's 404.
    assert resource.partition(".")[0] not in operator.log()
    install(kubectl, resource)
    await until(lambda: kubectl.get(resource, "demo"), QUICK)
    await until(lambda: _reason(kubectl, reported) != "CRDNotInstalled", QUICK)
    # Drift is repaired there as well: the kind is watched from now on.
    kubectl("delete", resource, "demo")
    await until(lambda: kubectl.get(resource, "demo"), QUICK)
    remove(kubectl, resource)
    await until(lambda: _reason(kubectl, reported) == "CRDNotInstalled", QUICK)
    kubectl("delete", "service", "demo")
    await until(lambda: kubectl.get("service", "demo"), QUICK)
    assert "Traceback" not in operator.log()


@pytest.mark.parametrize("operator", ["6"], indirect=True)
async def test_a_watch_of_a_removed_crd_waits_for_discovery(kubectl: Kubectl, operator: Operator) -> None:
    """Its 404 comes long before; nothing ends for it."""
    _, resource, spec, reported = OPTIONAL["ServiceMonitor"]
    install(kubectl, resource)
    apply(kubectl, spec)
    await until(lambda: kubectl.get(resource, "demo"), QUICK)
    remove(kubectl, resource)
    await until(lambda: "servicemonitors" in operator.log(), QUICK)  # kopf is told to try again
    kubectl("delete", "service", "demo")
    await until(lambda: kubectl.get("service", "demo"), QUICK)
    await until(lambda: _reason(kubectl, reported) == "CRDNotInstalled", QUICK)
    assert "Traceback" not in operator.log()


@pytest.mark.parametrize("kind", KINDS)
async def test_each_optional_child_is_created_as_desired_and_goes_alone(
    kubectl: Kubectl, bench: Bench, kind: str
) -> None:
    """The real CRD accepts it, a reconcile without a change writes nothing, and disabling deletes only it."""
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
    there = replace(kubectl, namespace=f"{kubectl.namespace}-victim")
    cluster_kubectl.server.create_namespace(there.namespace)
    theirs = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "theirs"},
        "spec": {"parentRefs": [{"name": "other"}], "hostnames": ["*.example.com"]},
    }
    there("create", "-f", "-", stdin=json.dumps(theirs))
    bench.restart(there.namespace)
    await bench.cluster.discover()
    apply(kubectl, {"gateway": {**spec["gateway"], "path": "/zz"}})
    await bench.settle()
    assert kubectl.get(resource, "demo") is None
    ready = condition(kubectl, "Ready")
    assert ready["reason"] == "HostConflict"
    assert (
        f"HTTPRoute {there.namespace}/theirs already takes the requests of *.example.com/" in ready["message"]
    )
    cluster_kubectl.server.delete_namespace(there.namespace)


async def test_the_operator_leaves_replicas_to_the_autoscaler_without_a_restart(
    kubectl: Kubectl, bench: Bench
) -> None:
    """The number of replicas stays when it becomes the autoscaler's, then only that one changes it."""
    apply(kubectl, {"replicas": 3})
    await bench.settle()
    await kubelet(kubectl)
    # The minimum is what there is: the real HPA controller has no reason of its own to change anything.
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
async def test_the_real_autoscaler_raises_to_its_minimum_and_says_what_it_lacks(
    kubectl: Kubectl, bench: Bench
) -> None:
    """Here nothing serves the metric."""
    apply(kubectl, {"replicas": 1, "autoscaling": {"enabled": True, "minReplicas": 2}})
    await bench.settle()
    await until(lambda: _replicas(kubectl) == 2, 60)

    async def said() -> str:
        await bench.settle()
        return str(condition(kubectl, "ScalingReady")["reason"])

    for _ in range(60):
        if await said() == "FailedGetPodsMetric":
            break
        await asyncio.sleep(0.5)
    assert "spec.monitoring.serviceMonitor" in condition(kubectl, "ScalingReady")["message"]


def _disabled(spec: dict[str, Any]) -> dict[str, Any]:
    """The change that turns off what the spec turns on."""
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
