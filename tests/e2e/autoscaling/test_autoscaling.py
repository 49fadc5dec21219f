"""Autoscalers add replicas under load and remove them afterwards; conditions report when they can't.

Tested with the real KEDA, and with a HorizontalPodAutoscaler and the real prometheus-adapter. Both query the stack's
Prometheus.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.load import Load
from tests.e2e.steady import Steady, steady_solver
from tests.e2e.support import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed
    from tests.e2e.autoscaling.installed import Keda, PrometheusAdapter

NAMESPACE = "mcq-autoscaling"
MAX_REPLICAS = 3
# Eight clients send requests and a replica serves one at a time: seven wait for one replica, five for three.
SPEC: dict[str, Any] = {
    "replicas": 1,
    "monitoring": {"serviceMonitor": {"enabled": False, "intervalSeconds": 2}},
}
SCRAPED = {"monitoring": {"serviceMonitor": {"enabled": True}}}
AUTOSCALING = {
    "enabled": True, "minReplicas": 1, "maxReplicas": MAX_REPLICAS, "targetQueueDepth": 2, "scaleDownSeconds": 0,
}  # fmt: skip


@pytest.fixture
def solver(deployed: Deployed, engine: str) -> Iterator[Steady]:
    """Yield one replica that serves one reasoning request at a time, without an autoscaler."""
    solver = Steady(deployed.kubectl, NAMESPACE, "elastic")
    slow = {"type": "OpenAI", "openai": {"endpoint": engine, "model": "first"}, "maxBatchSize": 1}
    with steady_solver(deployed.kubectl, engine, solver, **{**SPEC, "engine": slow}):
        yield solver


def scaling_condition(solver: Steady) -> dict[str, Any]:
    """Return the condition ScalingReady."""
    return solver.conditions().get("ScalingReady", {})


def wait_scaling(solver: Steady, status: str, *, text: str = "", seconds: float = 180) -> None:
    """Wait until the condition has this status, and `message` contains `text`."""

    def matches() -> bool:
        condition = scaling_condition(solver)
        return condition.get("status") == status and text in condition["message"]

    try:
        eventually(matches, seconds=seconds)
    except AssertionError as error:
        message = f"ScalingReady is {scaling_condition(solver)}, not {status} with {text!r}"
        raise AssertionError(message) from error


class ReplicaRecorder:
    """Record each number of replicas that the Deployment desires during the block."""

    def __init__(self, solver: Steady) -> None:
        self.observed: list[int] = []
        self._solver = solver
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> ReplicaRecorder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.3):
            desired = self._solver.get("deployment", self._solver.name)["spec"]["replicas"]
            if self.observed[-1:] != [desired]:
                self.observed.append(desired)


def check_grow_and_shrink(solver: Steady, what: str) -> None:
    """Check that load adds replicas up to the maximum, that they go afterwards, and that only the HPA scales."""
    with ReplicaRecorder(solver) as recorder:
        started = time.monotonic()
        with Load(solver.host, mode="reason") as load:
            eventually(
                lambda: recorder.observed[-1:] == [MAX_REPLICAS], seconds=180, what="replicas are added"
            )
            solver.settle()
            grown = time.monotonic() - started
            assert scaling_condition(solver)["status"] == "True"
        started = time.monotonic()
        eventually(lambda: recorder.observed[-1:] == [1], seconds=300, what="replicas are taken away")
        solver.settle()
        shrunk = time.monotonic() - started
    print(
        f"{what}: {recorder.observed} replicas, all ready {grown:.0f} s after the load began, one {shrunk:.0f} s"
        f" after it ended; {load.answered} answered, {len(load.lost)} lost"
    )
    assert load.lost == []
    peak = recorder.observed.index(MAX_REPLICAS)
    up, down = recorder.observed[: peak + 1], recorder.observed[peak:]
    assert up == sorted(up), "it went down while it grew"
    assert down == sorted(down, reverse=True), "it went up while it shrank"
    assert owners_of_replicas(solver) == {"kube-controller-manager"}


def owners_of_replicas(solver: Steady) -> set[str]:
    """Return the managers that own the number of replicas according to the managed fields."""
    live = json.loads(
        solver.run("get", "deployment", solver.name, "--show-managed-fields", "--output", "json")
    )
    return {
        each["manager"]
        for each in live["metadata"]["managedFields"]
        if "f:replicas" in each["fieldsV1"].get("f:spec", {})
    }


def test_keda_scales_the_replicas_and_the_condition_follows_it(
    solver: Steady, keda: Keda, prometheus: str
) -> None:
    """KEDA is installed late, Prometheus does not scrape the replicas at first, and its address changes."""
    solver.patch({"autoscaling": {**AUTOSCALING, "provider": "KEDA", "prometheusAddress": prometheus}})
    wait_scaling(solver, "False", text="ScaledObject", seconds=60)
    assert scaling_condition(solver)["reason"] == "CRDNotInstalled"
    keda.install()
    wait_scaling(solver, "False", text="The autoscaler can't work")
    solver.patch(SCRAPED)
    wait_scaling(solver, "True")
    check_grow_and_shrink(solver, "KEDA")

    solver.patch({"autoscaling": {"prometheusAddress": "http://nowhere.invalid:9090"}})
    wait_scaling(solver, "False", text="The autoscaler can't work")
    solver.patch({"autoscaling": {"prometheusAddress": prometheus}})
    wait_scaling(solver, "True")

    solver.patch({"autoscaling": {"enabled": False}, "replicas": 2})
    solver.settle()
    assert owners_of_replicas(solver) == {"mcq-operator"}


def test_an_hpa_scales_the_replicas_by_the_custom_metrics_api(
    solver: Steady, adapter: PrometheusAdapter
) -> None:
    """The custom metrics API is missing at first."""
    solver.patch({**SCRAPED, "autoscaling": {**AUTOSCALING, "provider": "HPA"}})
    wait_scaling(solver, "False", text="The autoscaler can't work")
    adapter.install()
    wait_scaling(solver, "True")
    check_grow_and_shrink(solver, "HPA")
