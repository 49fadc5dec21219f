"""Helpers of the solver's and the exam's reconcile."""

import logging
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from mcq_operator import status
from mcq_operator.api import (
    Key,
    Manifest,
    ObjectRef,
    Resource,
    ResourceStatus,
)
from mcq_operator.api.kinds import POD, kind_named
from mcq_operator.api.observed import Refusal, WarningEvent
from mcq_operator.client import Cluster, ClusterError, InvalidSpecError, NoAnswerError

logger = logging.getLogger(__name__)

Read = TypeVar("Read")

REFUSED_RETRY_SECONDS = 30.0
"""A quota, a policy or someone else's object may change without an event for the operator."""


class UnfinishedError(ClusterError):
    """Some objects could not be applied, deleted or read. Another try may help."""


class Outcome(StrEnum):
    """The outcome of a reconcile. An exam is ready when it has a result."""

    GONE = "gone"
    INVALID = "invalid"
    READY = "ready"
    NOT_READY = "not_ready"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a reconcile.

    Attributes:
        outcome: the outcome.
        status: the status.
        requeues: the keys of resources that read this status and must be reconciled because it changed.
        requeue_after: seconds until the next reconcile if no event comes first.
        error: the failure, already written into the status; the queue decides when to try again.

    """

    outcome: Outcome
    status: ResourceStatus | None = None
    requeues: Sequence[Key] = ()
    requeue_after: float | None = None
    error: Exception | None = None


async def readable(read: Awaitable[Read | None]) -> Read | None:
    """Return the resource; None if there is none, or its spec is invalid, as its own status says.

    Raises ClusterError.
    """
    try:
        return await read
    except InvalidSpecError:
        return None


async def warning(
    cluster: Cluster, pods: Sequence[Manifest], now: datetime, *, jobs: Iterable[Manifest] = ()
) -> WarningEvent | None:
    """Return the current warning Event about a Pod that hangs, or a Job that gets no Pod. Raises ClusterError."""
    subject = status.pending.hanging_pod(pods, now=now) or status.pending.podless_job(jobs, pods, now=now)
    if subject is None:
        return None
    try:
        events = await cluster.events(subject)
    except NoAnswerError:
        raise
    except ClusterError as error:
        # The status can do without it.
        logger.warning("a read failed, so a status lacks a detail: %s", error)
        return None
    last = status.pending.current_warning(subject, events)
    if last is None:
        return None
    return WarningEvent(
        kind=subject.get("kind") or POD.kind,
        name=subject["metadata"]["name"],
        reason=last["reason"],
        message=last.get("note", ""),
    )


async def write(cluster: Cluster, stored: Resource, new_status: ResourceStatus, now: datetime) -> bool:
    """Write the status if it differs, with an Event for each change; return whether it did. Raises ClusterError."""
    written = await cluster.write_status(stored, new_status)
    if written:
        for event in status.events(stored, new_status, now=now):
            await cluster.emit_event(stored, event)
    return written


def unfinished(refused: Iterable[Refusal]) -> UnfinishedError | None:
    """Return an error for the queue if a refusal is temporary, or None."""
    attempts = [f"{each.attempt} {each.ref.kind} {each.ref.name}" for each in refused if each.temporary]
    return UnfinishedError(f"could not {', '.join(attempts)}") if attempts else None


def retained(
    resource: Resource, refused: Iterable[Refusal], left: Iterable[ObjectRef] = ()
) -> list[ObjectRef]:
    """Return the objects that stay in the inventory although the reconcile did not read them.

    They are: objects of kinds that only another release knows, because that release must prune them; objects that
    could not be read; and objects that were `left` as they are.
    """
    uncertain = {*left, *(refusal.ref for refusal in refused)}
    return [
        ref
        for ref in resource.status.inventory
        if ref in uncertain or kind_named(ref.api_version, ref.kind) is None
    ]
