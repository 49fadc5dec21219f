"""A cluster with the operator from hack/with-cluster, and one solver that answers."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hack.cluster.providers import choose
from hack.deploy import Deployed, seed_model
from hack.installation import SAMPLE, wait_ready
from hack.installation import Solver as Installed
from hack.kubectl import Kubectl
from hack.toolchain.progress import Progress
from tests.e2e.support import restricted_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "mcq-e2e"
NAME = "exam"
HOST = "exam.localhost"


@dataclass(frozen=True)
class Solver:
    """The solver under test."""

    kubectl: Kubectl
    url: str = f"http://{HOST}:8080"

    def get(self, *resource: str) -> dict[str, Any]:
        """Return an object, or a list, of the solver's namespace."""
        live: dict[str, Any] = json.loads(
            self.kubectl("--namespace", NAMESPACE, "get", *resource, "--output", "json")
        )
        return live

    def wait_ready(self) -> None:
        """Wait up to 15 minutes until Ready is True."""
        wait_ready(self.kubectl, Installed(NAMESPACE, NAME), seconds=900)


@pytest.fixture(scope="session")
def deployed() -> Deployed:
    """Return the cluster that hack/with-cluster started."""
    provider = choose(Progress(quiet=True))
    return Deployed(provider, Kubectl(provider.kubectl(), provider.kubeconfig()))


@pytest.fixture(scope="module")
def solver(deployed: Deployed) -> Iterator[Solver]:
    """Yield the sample in its own namespace with restricted Pod Security; delete it afterwards."""
    kubectl = deployed.kubectl
    manifest = yaml.safe_load(SAMPLE.read_text())
    manifest["metadata"] |= {"name": NAME, "namespace": NAMESPACE}
    manifest["spec"]["ingress"]["host"] = HOST
    restricted_namespace(kubectl, NAMESPACE)
    seed_model(deployed.provider, NAMESPACE, f"{NAME}-model-cache")
    kubectl("apply", "--filename", "-", stdin=yaml.safe_dump(manifest))
    sample = Solver(kubectl)
    sample.wait_ready()
    yield sample
    if not os.environ.get("MCQ_KEEP"):
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
