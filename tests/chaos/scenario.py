"""A solver's life: create, update, remove features and delete it, through direct API requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.proxy import Upstream

START = "start"
"""The operator starts; there is no solver yet."""
GROUP_VERSION = "mcq-operator.dev/v1alpha1"
CREATED = {
    "replicas": 1,
    "ingress": {"enabled": True, "className": "traefik", "host": "mcq.example.com"},
    # Once a year, so that no backup runs during a case: each would write the CronJob's status.
    "storage": {"cache": {"type": "PVC"}, "backup": {"uri": "s3://backups", "schedule": "@yearly"}},
}


@dataclass(frozen=True)
class Step:
    """A change of the spec; None deletes the solver."""

    name: str
    change: dict[str, Any] | None

    async def apply(self, upstream: Upstream, namespace: str) -> None:
        """Apply the change."""
        path = f"/apis/{GROUP_VERSION}/namespaces/{namespace}/mcqsolvers"
        if self.change is None:
            await upstream.ask("DELETE", f"{path}/demo")
        elif self == STEPS[0]:
            solver = {"apiVersion": GROUP_VERSION, "kind": "MCQSolver", "metadata": {"name": "demo"}}
            await upstream.ask("POST", path, {**solver, "spec": self.change})
        else:
            body = {"spec": self.change}
            await upstream.ask("PATCH", f"{path}/demo", body, content="merge-patch+json")


STEPS = (
    Step("create", CREATED),
    Step(
        "update",
        {
            "replicas": 2,
            "limits": {"deadlineSeconds": 40},
            "disruption": {"minAvailable": 1},
            "ingress": {"host": "other.example.com"},
            "storage": {"backup": {"keep": 7}},
        },
    ),
    Step("no-ingress", {"ingress": {"enabled": False}}),
    Step("no-storage", {"storage": {"cache": {"type": "EmptyDir"}, "backup": None}}),
    Step("delete", None),
)
