"""One function for create, update, resume and drift: observe, compute, apply, prune, write the status."""

import logging
from collections.abc import Callable
from datetime import datetime

from pydantic import ValidationError

from mcq_operator import status
from mcq_operator.api import ExamKey, Key, ResourceStatus, SolverKey
from mcq_operator.client import (
    Cluster,
    ClusterError,
    ConflictError,
    NamespaceTerminatingError,
    NoAnswerError,
    NotLeadingError,
)
from mcq_operator.desired import Installation
from mcq_operator.probes.probers import Probers

from .exam import reconcile_exam
from .solver import reconcile_solver
from .steps import Outcome, Result, write
from .upgrades import Upgrades

logger = logging.getLogger(__name__)

FAILING_CONDITION: dict[type[Key], str] = {SolverKey: "Ready", ExamKey: "Complete"}
"""The condition that becomes Unknown when the reconcile of a resource fails."""


async def reconcile(
    key: Key,
    *,
    cluster: Cluster,
    probers: Probers,
    upgrades: Upgrades,
    installation: Installation,
    now: Callable[[], datetime],
) -> Result:
    """Make the cluster match a solver or an exam, and its status match the cluster.

    A failure is written into the status and returned. Raises ClusterError if the status can't be written.
    """
    try:
        match key:
            case SolverKey():
                return await reconcile_solver(
                    key,
                    cluster=cluster,
                    probers=probers,
                    upgrades=upgrades,
                    installation=installation,
                    now=now,
                )
            case ExamKey():
                image = installation.images.cpu
                return await reconcile_exam(key, cluster=cluster, service_image=image, now=now)
        message = f"no kind of resource has the key {key!r}"
        raise TypeError(message)
    except (ConflictError, NoAnswerError, NotLeadingError):
        # A retry resolves a conflict. Without the server or the lease, no status can be written either.
        raise
    except NamespaceTerminatingError:
        # The resource is deleted with its namespace: a failure in its status, or an Event, would be a false alarm.
        return Result(outcome=Outcome.GONE)
    except Exception as error:
        new_status = await _write_failure(key, error, cluster, now())
        if new_status is None:
            raise
        return Result(outcome=Outcome.FAILED, status=new_status, error=error)


async def _write_failure(
    key: Key, error: Exception, cluster: Cluster, now: datetime
) -> ResourceStatus | None:
    """Write the failure into the resource's status; return that, or None if it could not be written."""
    problem = str(error) if isinstance(error, ClusterError) else f"{type(error).__name__}: {error}"
    try:
        resource = await cluster.stored(key)
        if resource is None:
            return None
        new_status = status.failed(resource, problem=problem, condition=FAILING_CONDITION[type(key)], now=now)
        await write(cluster, resource, new_status, now)
    except (ClusterError, ValidationError) as another:
        logger.warning("%s: can't write the failure into the status: %s", key, another)
        return None
    return new_status
