"""Desired state: pure functions from a solver to the objects that it means."""

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.kinds import CHILDREN, CLAIM, CONFIG_MAP, kind_of
from mcq_operator.models.status import ObjectRef

from .config import config_map
from .network import ingress, service
from .scaling import disruption_budget
from .storage import cache_claim
from .workload import deployment, service_account

__all__ = ["objects", "possible", "reference"]


def objects(solver: MCQSolver, *, service_image: str) -> list[Manifest]:
    """What a solver wants to exist, in the order of creation: what Pods need comes before the Deployment."""
    wanted = [
        service_account(solver),
        config_map(solver),
        cache_claim(solver),
        service(solver),
        deployment(solver, service_image=service_image),
        disruption_budget(solver),
        ingress(solver),
    ]
    return [manifest for manifest in wanted if manifest is not None]


def possible(solver: MCQSolver) -> list[ObjectRef]:
    """Every object that this release could make for a solver, whatever its spec says now.

    They are looked at in each reconcile, so that an object whose creation was not recorded any more (the
    operator was killed in between) is pruned all the same.
    """
    other_names = {CONFIG_MAP: names.config_name(solver), CLAIM: names.cache_name(solver)}
    return [
        ObjectRef(api_version=kind.api_version, kind=kind.kind, name=other_names.get(kind, solver.name))
        for kind in CHILDREN
    ]


def reference(manifest: Manifest) -> ObjectRef:
    """How the inventory names an object."""
    kind = kind_of(manifest)
    return ObjectRef(api_version=kind.api_version, kind=kind.kind, name=manifest["metadata"]["name"])
