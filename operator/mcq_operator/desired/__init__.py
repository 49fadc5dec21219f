"""Desired state: pure functions from a resource to the objects that it means."""

from collections.abc import Collection

from mcq_operator.models import Manifest, MCQSolver, SatExam, names
from mcq_operator.models.kinds import CLAIM, CONFIG_MAP, RECONCILED, SOLVER_CHILDREN, Kind, kind_of
from mcq_operator.models.rbac import NAMESPACE
from mcq_operator.models.status import ObjectRef

from . import backup, exam, gate
from .alerts import prometheus_rule
from .dashboards import dashboards
from .manifest import digest
from .monitoring import service_monitor
from .network import http_route, ingress, network_policy, service
from .scaling import autoscaler, disruption_budget, scaled_object
from .storage import cache_claim, sat_exam
from .workload import deployment, service_account, template

__all__ = ["digest", "exam", "gate", "objects", "possible", "reference", "template"]


def objects(
    solver: MCQSolver,
    *,
    service_image: str,
    operator_image: str,
    operator_namespace: str = NAMESPACE,
    absent: Collection[Kind] = (),
    pods: Manifest | None = None,
    sat: SatExam | None = None,
) -> list[Manifest]:
    """What a solver wants to exist, in the order of creation: what Pods need comes before the Deployment.

    Args:
        solver: whose objects.
        service_image: the image where the spec names none.
        operator_image: the operator's own image, which backs the namespace up.
        operator_namespace: where the operator runs.
        absent: kinds that the API server does not know. Objects of those are returned too, but nothing waits for them.
        pods: the template of the replicas in place of the spec's, after a roll-out that was undone.
        sat: the last exam of the present replicas.

    """
    replicas_template = pods or template(solver, service_image=service_image)
    wanted = [
        service_account(solver),
        cache_claim(solver),
        network_policy(solver, operator_namespace=operator_namespace),
        service(solver),
        deployment(solver, replicas_template, absent=absent),
        disruption_budget(solver),
        autoscaler(solver),
        scaled_object(solver),
        ingress(solver),
        http_route(solver),
        service_monitor(solver, absent=absent),
        prometheus_rule(solver, absent=absent),
        dashboards(solver),
        sat_exam(solver, sat),
        *backup.objects(solver, operator_image=operator_image),
    ]
    return [manifest for manifest in wanted if manifest is not None]


def possible(solver: MCQSolver) -> list[ObjectRef]:
    """Every object that this release could make for a solver, whatever its spec says now.

    They are looked at in each reconcile, so that an object whose creation was not recorded any more (the
    operator was killed in between) is pruned all the same.
    """
    other_names = {CLAIM: names.cache_name(solver), CONFIG_MAP: names.dashboards_name(solver)}
    of_the_gate = [kind.named(names.candidate_name(solver)) for kind in RECONCILED]
    told = CONFIG_MAP.named(names.sat_exam_name(solver))
    named = [kind.named(other_names.get(kind, solver.name)) for kind in SOLVER_CHILDREN]
    return [*of_the_gate, told, *backup.possible(solver), *named]


def reference(manifest: Manifest) -> ObjectRef:
    """How the inventory names an object."""
    return kind_of(manifest).named(manifest["metadata"]["name"])
