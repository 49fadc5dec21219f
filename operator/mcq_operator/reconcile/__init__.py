"""One function for create, update, resume and drift: look, want, apply, prune, tell."""

import logging
from collections.abc import Callable
from datetime import datetime

from pydantic import ValidationError

from mcq_operator import status
from mcq_operator.canary import Canaries
from mcq_operator.key_states import KeyStates
from mcq_operator.kube import Cluster, ClusterError, ConflictError, NoAnswerError, NotLeadingError
from mcq_operator.models import ExamKey, Key, ResourceStatus, SolverKey
from mcq_operator.models.rbac import NAMESPACE
from mcq_operator.startup import Startups
from mcq_operator.upgrades import Upgrades

from .common import Outcome, Result, write
from .exam import reconcile_exam
from .solver import reconcile_solver

__all__ = ["Outcome", "Result", "reconcile"]

logger = logging.getLogger(__name__)

BAD: dict[type[Key], str] = {SolverKey: "Ready", ExamKey: "Complete"}
"""The condition that nothing is known of while a resource's reconcile fails."""


async def reconcile(
    key: Key,
    *,
    cluster: Cluster,
    canaries: Canaries,
    startups: Startups,
    key_states: KeyStates,
    upgrades: Upgrades,
    service_image: str,
    operator_image: str,
    operator_namespace: str = NAMESPACE,
    now: Callable[[], datetime],
) -> Result:
    """Make the cluster what a solver or an exam says, as far as it differs, and its status what is so.

    What goes wrong is told in the status and returned. Raises ClusterError where that can't be told.
    """
    try:
        match key:
            case SolverKey():
                return await reconcile_solver(
                    key,
                    cluster=cluster,
                    canaries=canaries,
                    startups=startups,
                    key_states=key_states,
                    upgrades=upgrades,
                    service_image=service_image,
                    operator_image=operator_image,
                    operator_namespace=operator_namespace,
                    now=now,
                )
            case ExamKey():
                return await reconcile_exam(key, cluster=cluster, service_image=service_image, now=now)
        message = f"no kind of resource has the key {key!r}"
        raise TypeError(message)
    except (ConflictError, NoAnswerError, NotLeadingError):
        # Another look tells what is so; this process may not write, or nothing can be.
        raise
    except Exception as error:
        told = await _told(key, error, cluster, now())
        if told is None:
            raise
        return Result(outcome=Outcome.FAILED, told=told, error=error)


async def _told(key: Key, error: Exception, cluster: Cluster, now: datetime) -> ResourceStatus | None:
    """Write the failure into the resource's status; returns None where there is none to write."""
    problem = str(error) if isinstance(error, ClusterError) else f"{type(error).__name__}: {error}"
    try:
        resource = await cluster.stored(key)
        if resource is None:
            return None
        told = status.failed(resource, problem=problem, bad=BAD[type(key)], now=now)
        await write(cluster, resource, told, now)
    except (ClusterError, ValidationError) as another:
        logger.warning("%s: its status can't say what went wrong: %s", key, another)
        return None
    return told
