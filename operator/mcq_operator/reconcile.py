"""One function for create, update, resume and drift: look, want, apply, prune, tell."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from . import desired, status
from .canary import Canaries
from .kube import Applied, Children, Cluster, InvalidSpecError
from .models import MCQSolver, ObjectRef, SolverKey
from .models.kinds import DEPLOYMENT, kind_named
from .models.observed import Deployment, Observed

REFUSED_RETRY_SECONDS = 30.0
"""A quota or a policy may change without an event that the operator sees."""


class Outcome(StrEnum):
    """How a reconcile ended; failures are exceptions."""

    GONE = "gone"
    INVALID = "invalid"
    READY = "ready"
    NOT_READY = "not_ready"


@dataclass(frozen=True, kw_only=True)
class Result:
    """An outcome, and in how many seconds to look again if no event comes first."""

    outcome: Outcome
    look_again_in: float | None = None


async def reconcile(
    key: SolverKey,
    *,
    cluster: Cluster,
    canaries: Canaries,
    service_image: str,
    now: Callable[[], datetime],
) -> Result:
    """Make the cluster what the solver says, as far as it differs, and the solver's status what is so.

    Raises ClusterError where another try may help.
    """
    try:
        solver = await cluster.solver(key)
    except InvalidSpecError as error:
        await cluster.write_status(error.solver, status.invalid(error.solver, problem=str(error), now=now()))
        return Result(outcome=Outcome.INVALID)
    if solver is None or solver.deleting:
        canaries.forget(key)
        return Result(outcome=Outcome.GONE)
    wanted = {desired.reference(item): item for item in desired.objects(solver, service_image=service_image)}
    found = await cluster.children(solver, {*desired.possible(solver), *solver.status.inventory})
    if wanted.keys() - found.live.keys() and not await cluster.still_has(solver):
        # What is missing has gone with the solver, and is not to be made again.
        canaries.forget(key)
        return Result(outcome=Outcome.GONE)
    applied = await cluster.apply(solver, wanted, found)
    leaving = await cluster.prune(solver, found, keep=wanted)
    observed = _observed(solver, applied, found)
    verdict = canaries.verdict(solver, observed.deployment, observed.pods)
    told = status.of(
        solver,
        observed=observed,
        verdict=status.canary_carried(solver, verdict),
        inventory={*applied.live, *leaving, *_unknown(solver)},
        now=now(),
    )
    await cluster.write_status(solver, told)
    return Result(
        outcome=Outcome.READY if status.is_ready(told) else Outcome.NOT_READY,
        look_again_in=REFUSED_RETRY_SECONDS if applied.refused else canaries.retry_in(key),
    )


def _observed(solver: MCQSolver, applied: Applied, found: Children) -> Observed:
    ref = ObjectRef(api_version=DEPLOYMENT.api_version, kind=DEPLOYMENT.kind, name=solver.name)
    manifest = applied.live.get(ref)
    return Observed(
        deployment=Deployment.of(manifest) if manifest else None,
        pods=found.pods,
        conflicts=applied.conflicts,
        refused=applied.refused,
    )


def _unknown(solver: MCQSolver) -> list[ObjectRef]:
    """Objects of kinds that only another release knows: kept on the list, for that release to prune."""
    return [ref for ref in solver.status.inventory if kind_named(ref.api_version, ref.kind) is None]
