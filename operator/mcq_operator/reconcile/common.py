"""What the reconciles of both kinds have in common."""

import logging
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from mcq_operator import status
from mcq_operator.kube import Cluster, ClusterError, InvalidSpecError, NoAnswerError
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
from mcq_operator.models.kinds import POD, kind_named
from mcq_operator.models.observed import Refusal, Warned

logger = logging.getLogger(__name__)

Read = TypeVar("Read")

REFUSED_RETRY_SECONDS = 30.0
"""A quota, a policy or another's Ingress may change without an event that the operator sees."""


class UnfinishedError(ClusterError):
    """Some objects could not be applied, deleted or read, and another try may help."""


class Outcome(StrEnum):
    """How a reconcile ended. An exam is ready once it was sat."""

    GONE = "gone"
    INVALID = "invalid"
    READY = "ready"
    NOT_READY = "not_ready"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a reconcile ended.

    Attributes:
        outcome: in a word.
        told: the status.
        wakes: who reads that status, and has to look at what changed in it.
        look_again_in: seconds after which to look again if no event comes first.
        error: what went wrong, and is told in the status already; the next try is the queue's affair.

    """

    outcome: Outcome
    told: ResourceStatus | None = None
    wakes: Sequence[Key] = ()
    look_again_in: float | None = None
    error: Exception | None = None


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


async def warning(
    cluster: Cluster, pods: Sequence[Manifest], now: datetime, *, jobs: Iterable[Manifest] = ()
) -> Warned | None:
    """What was warned of about a Pod that hangs, or a Job that gets no Pod. Raises ClusterError."""
    found = status.pending.hanging(pods, now=now) or status.pending.childless(jobs, pods, now=now)
    warned = await secondary(cluster.warnings(found)) if found else []
    if not found or not warned:
        return None
    last = warned[-1]
    return Warned(
        kind=found.get("kind") or POD.kind,
        name=found["metadata"]["name"],
        reason=last["reason"],
        message=last.get("note", ""),
    )


async def secondary(call: Awaitable[Read]) -> Read | None:
    """Return what was read; None where the server fails to tell what the status could do without."""
    try:
        return await call
    except NoAnswerError:
        raise
    except ClusterError as error:
        logger.warning("could not read what a status would have told: %s", error)
        return None


async def write(cluster: Cluster, stored: Resource, told: ResourceStatus, now: datetime) -> bool:
    """Write the status if it differs, with an Event of each change; returns whether it did. Raises ClusterError."""
    written = await cluster.write_status(stored, told)
    if written:
        for event in status.events(stored, told, now=now):
            await cluster.tell(stored, event)
    return written


def unfinished(refused: Iterable[Refusal]) -> UnfinishedError | None:
    """What is to be tried again, as an error for the queue."""
    what = [f"{each.attempt} {each.ref.kind} {each.ref.name}" for each in refused if each.temporary]
    return UnfinishedError(f"could not {', '.join(what)}") if what else None


def kept(resource: Resource, refused: Iterable[Refusal], left: Iterable[ObjectRef] = ()) -> list[ObjectRef]:
    """Objects that stay on the list although they were not seen.

    Of kinds that only another release knows, for that release to prune; those that may be there, unread; and those
    that were `left` as they are.
    """
    unsure = {*left, *(refusal.ref for refusal in refused)}
    return [
        ref
        for ref in resource.status.inventory
        if ref in unsure or kind_named(ref.api_version, ref.kind) is None
    ]
