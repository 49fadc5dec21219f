"""A tenant: an account with every right on MCQSolvers and MCQExams of one namespace, and no other right."""

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
    """The tenant's account in the test's namespace."""

    kubectl: Kubectl
    name: str

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the tenant and return its exit status and output."""
        return self.kubectl.run(f"--as={self.name}", *arguments, stdin=stdin)

    def solver(self, spec: dict[str, Any], name: str = "demo") -> None:
        """Create or change a solver; fail the test if the API server refuses it."""
        self._apply("MCQSolver", name, spec)

    def exam(self, spec: dict[str, Any], name: str = "aqua") -> None:
        """Create or change an exam; fail the test if the API server refuses it."""
        self._apply("MCQExam", name, spec)

    def _apply(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        done = self.run("apply", "-f", "-", stdin=json.dumps(resource(kind, name, spec)))
        assert done.returncode == 0, done.stderr


def resource(kind: str, name: str, spec: dict[str, Any]) -> Manifest:
    """Return a solver, an exam or a policy as its author writes it."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def tenant(kubectl: Kubectl) -> Tenant:
    """The account of the tests: it has the rights of an author of solvers and exams."""
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
    """Print what each test of a tenant checks, and its outcome."""
    labels = {"passed": "holds", "failed": "DOES NOT HOLD", "error": "NOT TESTED", "skipped": "not tested"}
    rows = [
        (label, _title(report.nodeid))
        for outcome, label in labels.items()
        for report in terminalreporter.stats.get(outcome, [])
        if report.nodeid.startswith(HERE) and (report.when == "call" or outcome != "passed")
    ]
    if rows:
        terminalreporter.write_sep("=", "tenants who may only write MCQSolvers and MCQExams")
        for label, title in sorted(rows, key=lambda row: (row[1], row[0])):
            terminalreporter.write_line(f"  {label:<13} {title}")


def _title(node: str) -> str:
    return node.rpartition("::")[2].removeprefix("test_").replace("_", " ")


@pytest.fixture
def victim(kubectl: Kubectl, cluster_kubectl: Kubectl) -> Iterator[Kubectl]:
    """Another team's namespace."""
    namespace = f"{kubectl.namespace}-victim"
    cluster_kubectl.server.create_namespace(namespace)
    yield Kubectl(kubectl.program, kubectl.kubeconfig, namespace)
    cluster_kubectl.server.delete_namespace(namespace)
