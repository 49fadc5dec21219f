"""Autoscalers add replicas under load and take them away after it, and conditions say when they can't.

By the real KEDA, and by a HorizontalPodAutoscaler with the real prometheus-adapter; both ask the stack's Prometheus.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.load import Load
from tests.cluster.steady import Steady, steady_solver
from tests.cluster.support import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed
    from tests.cluster.autoscaling.installed import Keda, PrometheusAdapter

NAMESPACE = "mcq-autoscaling"
MOST = 3
# Of eight clients one is served by each replica at a time: seven wait for one replica, five for three.
SPEC: dict[str, Any] = {
    "replicas": 1,
    "monitoring": {"serviceMonitor": {"enabled": False, "intervalSeconds": 2}},
}
SCRAPED = {"monitoring": {"serviceMonitor": {"enabled": True}}}
AUTOSCALING = {
    "enabled": True, "minReplicas": 1, "maxReplicas": MOST, "targetQueueDepth": 2, "scaleDownSeconds": 0,
}  # fmt: skip


@pytest.fixture
def solver(deployed: Deployed, engine: str) -> Iterator[Steady]:
    """One replica that writes for one question at a time, and no autoscaler yet."""
    made = Steady(deployed.kubectl, NAMESPACE, "elastic")
    slow = {"type": "OpenAI", "openai": {"endpoint": engine, "model": "first"}, "maxBatchSize": 1}
    with steady_solver(deployed.kubectl, engine, made, **{**SPEC, "engine": slow}):
        yield made


def scaling(solver: Steady) -> dict[str, Any]:
    """The condition."""
    return solver.conditions().get("ScalingReady", {})


def scaling_becomes(solver: Steady, status: str, *, words: str = "", seconds: float = 180) -> None:
    """Until the condition has this status, and these words in its message."""

    def so() -> bool:
        found = scaling(solver)
        return found.get("status") == status and words in found["message"]

    try:
        eventually(so, seconds=seconds)
    except AssertionError as error:
        message = f"ScalingReady is {scaling(solver)}, not {status} with {words!r}"
        raise AssertionError(message) from error


class Watched:
    """The number of replicas that the Deployment wanted, each time it changed while the block ran."""

    def __init__(self, solver: Steady) -> None:
        self.seen: list[int] = []
        self._solver = solver
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.3):
            wanted = self._solver.get("deployment", self._solver.name)["spec"]["replicas"]
            if self.seen[-1:] != [wanted]:
                self.seen.append(wanted)


def grows_and_shrinks(solver: Steady, what: str) -> None:
    """From one replica to the most under load, and back after it; nobody else writes the number meanwhile."""
    with Watched(solver) as watched:
        started = time.monotonic()
        with Load(solver.host, mode="reason") as load:
            eventually(lambda: watched.seen[-1:] == [MOST], seconds=180, what="replicas are added")
            solver.settle()
            grown = time.monotonic() - started
            assert scaling(solver)["status"] == "True"
        started = time.monotonic()
        eventually(lambda: watched.seen[-1:] == [1], seconds=300, what="replicas are taken away")
        solver.settle()
        shrunk = time.monotonic() - started
    print(
        f"{what}: {watched.seen} replicas wanted, all ready {grown:.0f} s after the load began, one {shrunk:.0f} s"
        f" after it ended; {load.answered} answered, {len(load.lost)} lost"
    )
    assert load.lost == []
    most = watched.seen.index(MOST)
    up, down = watched.seen[: most + 1], watched.seen[most:]
    assert up == sorted(up), "it went down while it grew"
    assert down == sorted(down, reverse=True), "it went up while it shrank"
    assert owners_of_replicas(solver) == {"kube-controller-manager"}


def owners_of_replicas(solver: Steady) -> set[str]:
    """Who has written the number of replicas last, by the API server's own account."""
    found = json.loads(
        solver.run("get", "deployment", solver.name, "--show-managed-fields", "--output", "json")
    )
    return {
        each["manager"]
        for each in found["metadata"]["managedFields"]
        if "f:replicas" in each["fieldsV1"].get("f:spec", {})
    }


def test_keda_scales_the_replicas_and_the_condition_follows_it(
    solver: Steady, keda: Keda, prometheus: str
) -> None:
    """KEDA comes later than the wish for it; nobody scrapes the replicas at first; the Prometheus is another."""
    solver.patch({"autoscaling": {**AUTOSCALING, "provider": "KEDA", "prometheusAddress": prometheus}})
    scaling_becomes(solver, "False", words="ScaledObject", seconds=60)
    assert scaling(solver)["reason"] == "CRDNotInstalled"
    keda.install()
    scaling_becomes(solver, "False", words="The autoscaler can't work")
    solver.patch(SCRAPED)
    scaling_becomes(solver, "True")
    grows_and_shrinks(solver, "KEDA")

    solver.patch({"autoscaling": {"prometheusAddress": "http://nowhere.invalid:9090"}})
    scaling_becomes(solver, "False", words="The autoscaler can't work")
    solver.patch({"autoscaling": {"prometheusAddress": prometheus}})
    scaling_becomes(solver, "True")

    solver.patch({"autoscaling": {"enabled": False}, "replicas": 2})
    solver.settle()
    assert owners_of_replicas(solver) == {"mcq-operator"}


def test_an_hpa_scales_the_replicas_by_the_custom_metrics_api(
    solver: Steady, adapter: PrometheusAdapter
) -> None:
    """Which nobody serves at first."""
    solver.patch({**SCRAPED, "autoscaling": {**AUTOSCALING, "provider": "HPA"}})
    scaling_becomes(solver, "False", words="The autoscaler can't work")
    adapter.install()
    scaling_becomes(solver, "True")
    grows_and_shrinks(solver, "HPA")
