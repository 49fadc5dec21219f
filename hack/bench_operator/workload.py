"""The solvers that are made, and the objects that each has to have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from hack.bench_operator.eyes import Child
from mcq_operator import desired
from mcq_operator.models import API_VERSION, MCQSolver
from mcq_operator.models.base import SOLVER_KIND
from mcq_operator.models.kinds import OPTIONAL, SOLVER, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.bench_operator.client import Client

NAMESPACES = 10


class Solver(NamedTuple):
    """One MCQSolver: a plain spec with an Ingress, so that it has every child there is."""

    namespace: str
    name: str
    replicas: int

    @property
    def manifest(self) -> dict[str, Any]:
        """What is sent."""
        ingress = {"enabled": True, "host": f"{self.name}.{self.namespace}.example.com"}
        return {
            "apiVersion": API_VERSION,
            "kind": SOLVER_KIND,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"ingress": ingress, "replicas": self.replicas},
        }

    @property
    def objects(self) -> list[dict[str, Any]]:
        """What the operator makes of it, where the cluster has no kinds but its own."""
        return desired.objects(
            MCQSolver.model_validate(self.manifest),
            service_image="bench",
            operator_image="bench",
            absent=OPTIONAL,
        )

    @property
    def children(self) -> list[Child]:
        """Their names."""
        return [Child(item["kind"], self.namespace, item["metadata"]["name"]) for item in self.objects]

    async def create(self, client: Client) -> None:
        """Make it."""
        await client.send("POST", SOLVER.path(self.namespace), json.dumps(self.manifest).encode())


def solvers(prefix: str, count: int, *, replicas: int) -> list[Solver]:
    """So many, over the namespaces."""
    return [Solver(namespace, name, replicas) for namespace, name in places(prefix, count)]


def places(prefix: str, count: int) -> Iterator[tuple[str, str]]:
    """Namespace and name of so many resources, over the namespaces."""
    names = namespaces()
    for number in range(count):
        yield names[number % len(names)], f"{prefix}-{number}"


def namespaces() -> list[str]:
    """Where the solvers are."""
    return [f"bench-{number}" for number in range(NAMESPACES)]


def unowned(solver: Solver) -> Iterator[tuple[str, bytes]]:
    """Path and body of the applies of a solver's objects, with no owner and for nobody's eyes.

    Without replicas: what the cluster's controllers make of a Deployment is not what is measured.
    """
    for item in solver.objects:
        kind = kind_of(item)
        metadata = {**item["metadata"], "labels": {}}
        del metadata["ownerReferences"]
        body = {**item, "metadata": metadata}
        path = kind.path(solver.namespace, metadata["name"])
        yield f"{path}?fieldManager=bench&force=true", json.dumps(body).encode()
