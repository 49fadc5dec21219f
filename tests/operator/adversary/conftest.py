"""A tenant: an account that may do everything with MCQSolvers and MCQExams of one namespace, and nothing else."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.operator.conftest import Kubectl

from mcq_operator.api import Manifest
from mcq_operator.api.base import API_VERSION, EXAMS, GROUP, SOLVERS

HERE = "tests/operator/adversary/"
VERBS = ["get", "list", "watch", "create", "update", "patch", "delete"]


@dataclass(frozen=True)
class Tenant:
    """The account, in the test's namespace."""

    kubectl: Kubectl
    name: str

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the tenant, whatever its exit status."""
        return self.kubectl.run(f"--as={self.name}", *arguments, stdin=stdin)

    def solver(self, spec: dict[str, Any], name: str = "demo") -> None:
        """Create or change a solver; fails the test where that is refused."""
        self._apply("MCQSolver", name, spec)

    def exam(self, spec: dict[str, Any], name: str = "aqua") -> None:
        """Create or change an exam."""
        self._apply("MCQExam", name, spec)

    def _apply(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        done = self.run("apply", "-f", "-", stdin=json.dumps(resource(kind, name, spec)))
        assert done.returncode == 0, done.stderr


def resource(kind: str, name: str, spec: dict[str, Any]) -> Manifest:
    """A solver or an exam as its author writes it."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def tenant(kubectl: Kubectl) -> Tenant:
    """The account that the tests try as; its verbs are those of an author, and no more."""
    account = f"tenant-{kubectl.namespace}"
    kubectl(
        "create",
        "role",
        "author",
        f"--verb={','.join(VERBS)}",
        f"--resource={SOLVERS}.{GROUP},{EXAMS}.{GROUP}",
    )
    kubectl("create", "rolebinding", "author", "--role=author", f"--user={account}")
    return Tenant(kubectl, account)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print each attempt of a tenant and its outcome."""
    words = {"passed": "held off", "failed": "NOT HELD OFF", "error": "NOT TRIED", "skipped": "not tried"}
    rows = [
        (word, _read(report.nodeid))
        for outcome, word in words.items()
        for report in terminalreporter.stats.get(outcome, [])
        if report.nodeid.startswith(HERE) and (report.when == "call" or outcome != "passed")
    ]
    if rows:
        terminalreporter.write_sep("=", "tenants who may only write MCQSolvers and MCQExams")
        for word, tried in sorted(rows, key=lambda row: (row[1], row[0])):
            terminalreporter.write_line(f"  {word:<13} {tried}")


def _read(node: str) -> str:
    return node.rpartition("::")[2].removeprefix("test_").replace("_", " ")


@pytest.fixture
def victims(kubectl: Kubectl, cluster_kubectl: Kubectl) -> Iterator[Kubectl]:
    """Another team's namespace."""
    namespace = f"{kubectl.namespace}-victim"
    cluster_kubectl.server.create_namespace(namespace)
    yield Kubectl(kubectl.program, kubectl.kubeconfig, namespace)
    cluster_kubectl.server.delete_namespace(namespace)
