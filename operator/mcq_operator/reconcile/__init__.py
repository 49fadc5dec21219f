"""One function for create, update, resume and drift: look, want, apply, prune, tell."""

from collections.abc import Callable
from datetime import datetime

from mcq_operator.canary import Canaries
from mcq_operator.key_states import KeyStates
from mcq_operator.kube import Cluster
from mcq_operator.models import ExamKey, Key, SolverKey
from mcq_operator.startup import Startups

from .common import Outcome, Result
from .exam import reconcile_exam
from .solver import reconcile_solver

__all__ = ["Outcome", "Result", "reconcile"]


async def reconcile(
    key: Key,
    *,
    cluster: Cluster,
    canaries: Canaries,
    startups: Startups,
    key_states: KeyStates,
    service_image: str,
    operator_image: str,
    now: Callable[[], datetime],
) -> Result:
    """Make the cluster what a solver or an exam says, as far as it differs, and its status what is so.

    Raises ClusterError where another try may help.
    """
    match key:
        case SolverKey():
            return await reconcile_solver(
                key,
                cluster=cluster,
                canaries=canaries,
                startups=startups,
                key_states=key_states,
                service_image=service_image,
                operator_image=operator_image,
                now=now,
            )
        case ExamKey():
            return await reconcile_exam(key, cluster=cluster, service_image=service_image, now=now)
    message = f"no kind of resource has the key {key!r}"
    raise TypeError(message)
