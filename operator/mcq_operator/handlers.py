"""kopf wiring: what is watched, and the key that an event of it enqueues. Nothing else happens here.

Only raw `on.event` handlers are used: with those, kopf puts no annotations and no finalizers on objects.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import kopf

from .kube.api import TIMEOUT_SECONDS
from .login import login
from .models import SolverKey, names
from .models.base import API_VERSION, SOLVER_KIND
from .models.kinds import CHILDREN, POD, SOLVER


class Queue(Protocol):
    """Where keys go."""

    def add(self, key: SolverKey) -> None:
        """Have the solver looked at."""


@dataclass(frozen=True)
class Memo:
    """What handlers are given."""

    queue: Queue


async def solver_seen(meta: Mapping[str, Any], memo: Memo, **_: object) -> None:
    """An MCQSolver was created, changed or deleted."""
    memo.queue.add(SolverKey(meta["namespace"], meta["name"]))


async def child_seen(meta: Mapping[str, Any], memo: Memo, **_: object) -> None:
    """An object that was made for a solver, or one of its Pods, was created, changed or deleted."""
    key = owner(meta)
    if key is not None:
        memo.queue.add(key)


def owner(meta: Mapping[str, Any]) -> SolverKey | None:
    """The solver that an object belongs to: its controller, or for a Pod the one its label names."""
    for reference in meta.get("ownerReferences", []):
        if reference["kind"] == SOLVER_KIND and reference["apiVersion"] == API_VERSION:
            return SolverKey(meta["namespace"], reference["name"])
    instance = meta.get("labels", {}).get(names.INSTANCE_LABEL)
    return SolverKey(meta["namespace"], instance) if instance else None


def registry() -> kopf.OperatorRegistry:
    """Every handler."""
    made = kopf.OperatorRegistry()
    kopf.on.login(registry=made)(login)
    kopf.on.event(SOLVER.group, SOLVER.version, SOLVER.plural, registry=made)(solver_seen)
    for kind in (POD, *CHILDREN):
        kopf.on.event(kind.group, kind.version, kind.plural, registry=made)(child_seen)
    return made


def settings(*, namespaced: bool) -> kopf.OperatorSettings:
    """kopf's settings: the server filters children by label, and kopf writes nothing."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.peering.standalone = True
    # A list whose answer is lost is asked for again: kopf's own default waits for five minutes.
    made.networking.request_timeout = TIMEOUT_SECONDS
    # With named namespaces the operator has no right to look at namespaces and CRDs, nor a need to.
    made.scanning.disabled = namespaced
    for kind in (POD, *CHILDREN):
        made.watching.label_selectors[kind.group, kind.version, kind.plural] = names.MANAGED_SELECTOR
    return made
