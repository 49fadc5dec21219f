"""The benchmark's solvers, and the objects that each must have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.operator.observer import Child
from mcq_operator import desired
from mcq_operator.api import API_VERSION, MCQSolver
from mcq_operator.api.base import SOLVER_KIND
from mcq_operator.api.kinds import OPTIONAL, SOLVER, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.operator.client import Client

NAMESPACES = 10


class Solver(NamedTuple):
    """An MCQSolver with an Ingress, so that it has every kind of child."""

    namespace: str
    name: str
    replicas: int

    @property
    def manifest(self) -> dict[str, Any]:
        """Return the manifest."""
        ingress = {"enabled": True, "host": f"{self.name}.{self.namespace}.example.com"}
        return {
            "apiVersion": API_VERSION,
            "kind": SOLVER_KIND,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"ingress": ingress, "replicas": self.replicas},
        }

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Return the objects that the operator makes on a cluster without optional kinds."""
        images = desired.ServiceImages("bench", "bench")
        installation = desired.Installation(images=images, operator_image="bench")
        return desired.objects(MCQSolver.model_validate(self.manifest), installation, absent=OPTIONAL)

    @property
    def children(self) -> list[Child]:
        """The objects' kinds and names."""
        return [Child(item["kind"], self.namespace, item["metadata"]["name"]) for item in self.objects]

    async def create(self, client: Client) -> None:
        """Create it."""
        await client.send("POST", SOLVER.path(self.namespace), json.dumps(self.manifest).encode())


def solvers(prefix: str, count: int, *, replicas: int) -> list[Solver]:
    """Return `count` solvers, spread over the namespaces."""
    return [Solver(namespace, name, replicas) for namespace, name in places(prefix, count)]


def places(prefix: str, count: int) -> Iterator[tuple[str, str]]:
    """Yield namespace and name of `count` resources, spread over the namespaces."""
    names = namespaces()
    for number in range(count):
        yield names[number % len(names)], f"{prefix}-{number}"


def namespaces() -> list[str]:
    """Return the solvers' namespaces."""
    return [f"bench-{number}" for number in range(NAMESPACES)]


def unowned(solver: Solver) -> Iterator[tuple[str, bytes]]:
    """Yield path and body of the applies of a solver's objects, without owner and labels.

    The Deployment has no replicas, so that the controllers' work on Pods is not part of the measurement.
    """
    for item in solver.objects:
        kind = kind_of(item)
        metadata = {**item["metadata"], "labels": {}}
        del metadata["ownerReferences"]
        body = {**item, "metadata": metadata}
        path = kind.path(solver.namespace, metadata["name"])
        yield f"{path}?fieldManager=bench&force=true", json.dumps(body).encode()
