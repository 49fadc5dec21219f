"""Desired state: pure functions from a resource to its objects."""

from collections.abc import Collection

from mcq_operator.api import LastExam, Manifest, MCQSolver, names
from mcq_operator.api.kinds import CLAIM, CONFIG_MAP, RECONCILED, SOLVER_CHILDREN, Kind
from mcq_operator.api.resource_status import ObjectRef

from . import backup, exam, gate
from .alerts import prometheus_rule
from .config import asks_for_key
from .dashboards import dashboards
from .images import Installation, ServiceImages, replica_image
from .manifest import digest
from .monitoring import service_monitor
from .network import http_route, ingress, network_policy, service, with_served_path
from .scaling import autoscaler, disruption_budget, scaled_object
from .storage import cache_claim, exam_summary, mounted_claims
from .workload import deployment, plain_template, service_account, template

__all__ = [
    "Installation",
    "ServiceImages",
    "asks_for_key",
    "digest",
    "exam",
    "gate",
    "mounted_claims",
    "objects",
    "plain_template",
    "possible",
    "replica_image",
    "template",
    "with_served_path",
]


def objects(
    solver: MCQSolver,
    installation: Installation,
    *,
    absent: Collection[Kind] = (),
    pods: Manifest | None = None,
    last_exam: LastExam | None = None,
) -> list[Manifest]:
    """Return a solver's desired objects in the order of creation: everything that Pods need before the Deployment.

    Args:
        solver: the owner of the objects.
        installation: the operator's installation.
        absent: kinds that the API server does not know. Their objects are returned too, but no other object relies on
            them.
        pods: the replicas' template, if a gate, a rollback or an upgrade keeps an earlier one; None for the spec's.
        last_exam: the last exam of the current replicas.

    """
    replicas_template = pods or template(solver, images=installation.images)
    desired = [
        service_account(solver),
        cache_claim(solver),
        network_policy(solver, operator_namespace=installation.namespace),
        service(solver),
        deployment(solver, replicas_template, absent=absent),
        disruption_budget(solver),
        autoscaler(solver),
        scaled_object(solver),
        ingress(solver),
        http_route(solver),
        service_monitor(solver, absent=absent),
        prometheus_rule(solver, absent=absent, runbooks_url=installation.runbooks_url),
        dashboards(solver),
        exam_summary(solver, last_exam),
        *backup.objects(solver, operator_image=installation.operator_image),
    ]
    return [manifest for manifest in desired if manifest is not None]


def possible(solver: MCQSolver) -> list[ObjectRef]:
    """Return every object that this release could create for a solver, whatever its current spec.

    Each reconcile checks them all, so that it also prunes an object that is missing in the inventory because the
    operator was killed between creating and recording it.
    """
    special_names = {CLAIM: names.cache_name(solver), CONFIG_MAP: names.dashboards_name(solver)}
    candidate = [kind.named(names.candidate_name(solver)) for kind in RECONCILED]
    last_exam = CONFIG_MAP.named(names.exam_summary_name(solver))
    children = [kind.named(special_names.get(kind, solver.name)) for kind in SOLVER_CHILDREN]
    return [*candidate, last_exam, *backup.possible(solver), *children]
