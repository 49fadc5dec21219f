"""A solver that is asked steadily while something happens to it.

Its replicas are the product's own image; behind them is an engine without a model (tests/cluster/engine.py), so that
they start in seconds and thousands of small answers take minutes.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hack.ask import QUESTION, ask
from tests.cluster.support import eventually, restricted_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.kubectl import Kubectl


@dataclass(frozen=True)
class Steady:
    """The solver; its namespace is its own."""

    kubectl: Kubectl
    namespace: str
    name: str

    @property
    def host(self) -> str:
        """The Ingress's host."""
        return f"{self.name}.localhost"

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """kubectl in its namespace."""
        return self.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def patch(self, spec: dict[str, Any]) -> None:
        """Change its spec."""
        change = json.dumps({"spec": spec})
        self.run("patch", f"mcqsolver/{self.name}", "--type=merge", "--patch", change)

    def get(self, *resource: str) -> dict[str, Any]:
        """One object, or a list."""
        found: dict[str, Any] = json.loads(self.run("get", *resource, "--output", "json"))
        return found

    def replicas(self) -> list[dict[str, Any]]:
        """Its replicas' Pods, those that are ending among them."""
        found: list[dict[str, Any]] = self.get(
            "pods", "--selector", f"app.kubernetes.io/instance={self.name}"
        )["items"]
        return found

    def pods(self) -> list[str]:
        """The names of its replicas' Pods, but of those that are ending."""
        return [
            each["metadata"]["name"]
            for each in self.replicas()
            if "deletionTimestamp" not in each["metadata"]
        ]

    def places(self) -> Counter[str]:
        """How many replicas are on each node; those that are ending are not counted."""
        return Counter(
            each["spec"].get("nodeName", "")
            for each in self.replicas()
            if "deletionTimestamp" not in each["metadata"]
        )

    def conditions(self) -> dict[str, dict[str, Any]]:
        """Its conditions by type."""
        found = self.get("mcqsolver", self.name)
        return {item["type"]: item for item in found.get("status", {}).get("conditions", [])}

    def settle(self, *, seconds: float = 180) -> None:
        """Until it is Ready for its newest spec and no old replica is left."""

        def settled() -> bool:
            found = self.get("mcqsolver", self.name)
            ready = self.conditions().get("Ready", {})
            current = ready.get("observedGeneration") == found["metadata"]["generation"]
            wanted = self.get("deployment", self.name)["spec"]["replicas"]
            return ready.get("status") == "True" and current and len(self.replicas()) == wanted

        eventually(settled, seconds=seconds, what=f"{self.name} is Ready and no old replica is left")


@contextmanager
def serving(address: str, *, seconds: float = 0) -> Iterator[str]:
    """An engine on an address that pods reach, while the block runs: its URL. A line takes `seconds`."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.cluster.engine", f"--seconds={seconds}"]
    with subprocess.Popen([*command, address, str(port), "first", "second"]) as process:
        try:
            yield f"http://{address}:{port}/v1"
        finally:
            process.terminate()


@contextmanager
def steady_solver(kubectl: Kubectl, engine: str, solver: Steady, /, **spec: Any) -> Iterator[Steady]:
    """The solver, Ready, with `spec` beside its engine and its Ingress; removed afterwards."""
    manifest = {
        "apiVersion": "mcq-operator.dev/v1alpha1",
        "kind": "MCQSolver",
        "metadata": {"name": solver.name, "namespace": solver.namespace},
        "spec": {
            "engine": {"type": "OpenAI", "openai": {"endpoint": engine, "model": "first"}},
            "ingress": {"enabled": True, "className": "traefik", "host": solver.host},
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
            **spec,
        },
    }
    restricted_namespace(kubectl, solver.namespace)
    kubectl("apply", "--filename", "-", stdin=json.dumps(manifest))
    eventually(lambda: bool(solver.conditions()), seconds=30)
    solver.run("wait", f"mcqsolver/{solver.name}", "--for=condition=Ready", "--timeout=180s")
    # Ready means so: the very next thing is a question through the Ingress.
    answer = ask(f"http://{solver.host}:8080", {**QUESTION, "mode": "answer"})
    assert answer["answer"]["label"] == "B"
    yield solver
    kubectl("delete", "namespace", solver.namespace, "--ignore-not-found", "--wait=false")
