"""What the reconciles of both kinds have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mcq_operator import status
from mcq_operator.kube import Cluster, InvalidSpecError
from mcq_operator.models import (
    ExamKey,
    Key,
    Manifest,
    MCQExam,
    MCQSolver,
    ObjectRef,
    Resource,
    ResourceStatus,
    SolverKey,
)
from mcq_operator.models.kinds import kind_named
from mcq_operator.models.observed import NodeWarning

REFUSED_RETRY_SECONDS = 30.0
"""A quota, a policy or another's Ingress may change without an event that the operator sees."""


class Outcome(StrEnum):
    """How a reconcile ended; failures are exceptions. An exam is ready once it was sat."""

    GONE = "gone"
    INVALID = "invalid"
    READY = "ready"
    NOT_READY = "not_ready"


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a reconcile ended.

    Attributes:
        outcome: in a word.
        told: the status.
        wakes: who reads that status, and has to look at what changed in it.
        look_again_in: seconds after which to look again if no event comes first.

    """

    outcome: Outcome
    told: ResourceStatus | None = None
    wakes: Sequence[Key] = ()
    look_again_in: float | None = None


async def readable_solver(cluster: Cluster, key: SolverKey) -> MCQSolver | None:
    """The solver; one whose spec can't be read is none: its own reconcile tells of it. Raises ClusterError."""
    try:
        return await cluster.solver(key)
    except InvalidSpecError:
        return None


async def readable_exam(cluster: Cluster, key: ExamKey) -> MCQExam | None:
    """The same of an exam. Raises ClusterError."""
    try:
        return await cluster.exam(key)
    except InvalidSpecError:
        return None


async def warning(cluster: Cluster, pods: Sequence[Manifest], now: datetime) -> NodeWarning | None:
    """What its node warned of about a Pod that hangs. Raises ClusterError."""
    pod = status.pending.hanging(pods, now=now)
    warned = await cluster.warnings(pod) if pod else []
    if not pod or not warned:
        return None
    last = warned[-1]
    return NodeWarning(pod=pod["metadata"]["name"], reason=last["reason"], message=last.get("note", ""))


def unknown(resource: Resource) -> list[ObjectRef]:
    """Objects of kinds that only another release knows: kept on the list, for that release to prune."""
    return [ref for ref in resource.status.inventory if kind_named(ref.api_version, ref.kind) is None]
