"""A solver under steady load during a change.

Its replicas run the product's image; their engine has no model (tests/e2e/openai_server.py), so that they start in
seconds, and thousands of small answers take minutes.
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
from tests.e2e.support import eventually, restricted_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.kubectl import Kubectl


@dataclass(frozen=True)
class Steady:
    """The solver, alone in its namespace."""

    kubectl: Kubectl
    namespace: str
    name: str

    @property
    def host(self) -> str:
        """The Ingress's host."""
        return f"{self.name}.localhost"

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the solver's namespace."""
        return self.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def patch(self, spec: dict[str, Any]) -> None:
        """Change the solver's spec."""
        change = json.dumps({"spec": spec})
        self.run("patch", f"mcqsolver/{self.name}", "--type=merge", "--patch", change)

    def get(self, *resource: str) -> dict[str, Any]:
        """Return one object or a list."""
        live: dict[str, Any] = json.loads(self.run("get", *resource, "--output", "json"))
        return live

    def replicas(self) -> list[dict[str, Any]]:
        """Return the replicas' Pods, including those that are terminating."""
        pods: list[dict[str, Any]] = self.get(
            "pods", "--selector", f"app.kubernetes.io/instance={self.name}"
        )["items"]
        return pods

    def pods(self) -> list[str]:
        """Return the names of the replicas' Pods, without those that are terminating."""
        return [
            each["metadata"]["name"]
            for each in self.replicas()
            if "deletionTimestamp" not in each["metadata"]
        ]

    def places(self) -> Counter[str]:
        """Return the number of replicas on each node, without those that are terminating."""
        return Counter(
            each["spec"].get("nodeName", "")
            for each in self.replicas()
            if "deletionTimestamp" not in each["metadata"]
        )

    def conditions(self) -> dict[str, dict[str, Any]]:
        """Return the solver's conditions by type."""
        live = self.get("mcqsolver", self.name)
        return {item["type"]: item for item in live.get("status", {}).get("conditions", [])}

    def settle(self, *, seconds: float = 180) -> None:
        """Wait until the solver is Ready for its newest spec and no old replica is left."""

        def settled() -> bool:
            live = self.get("mcqsolver", self.name)
            ready = self.conditions().get("Ready", {})
            current = ready.get("observedGeneration") == live["metadata"]["generation"]
            desired = self.get("deployment", self.name)["spec"]["replicas"]
            return ready.get("status") == "True" and current and len(self.replicas()) == desired

        eventually(settled, seconds=seconds, what=f"{self.name} is Ready and no old replica is left")


@contextmanager
def serving(address: str, *, seconds: float = 0) -> Iterator[str]:
    """Yield the URL of an engine on an address that pods reach. A reasoning line takes `seconds`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.e2e.openai_server", f"--seconds={seconds}"]
    with subprocess.Popen([*command, address, str(port), "first", "second"]) as process:
        try:
            yield f"http://{f'[{address}]' if family is socket.AF_INET6 else address}:{port}/v1"
        finally:
            process.terminate()


@contextmanager
def steady_solver(kubectl: Kubectl, engine: str, solver: Steady, /, **spec: Any) -> Iterator[Steady]:
    """Yield the Ready solver with `spec` in addition to its engine and Ingress; delete it afterwards."""
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
    # Check that Ready is accurate: tests send a question through the Ingress next.
    answer = ask(f"http://{solver.host}:8080", {**QUESTION, "mode": "answer"})
    assert answer["answer"]["label"] == "B"
    yield solver
    kubectl("delete", "namespace", solver.namespace, "--ignore-not-found", "--wait=false")
