"""kopf wiring: what is watched, and the key that an event of it enqueues. Nothing else happens here.

Only raw `on.event` handlers are used: with those, kopf puts no annotations and no finalizers on objects.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import kopf

from .models import SolverKey, names
from .models.base import API_VERSION, SOLVER_KIND
from .models.kinds import CHILDREN, POD, SOLVER, Kind


class Queue(Protocol):
    """Where keys go, from the thread that watches."""

    def add(self, key: SolverKey) -> None:
        """Have the solver looked at."""


class Versions(Protocol):
    """Keeps which version of each object was seen last."""

    def saw(self, plural: str, meta: Mapping[str, Any], *, gone: bool) -> None:
        """An event came."""


@dataclass(frozen=True)
class Memo:
    """What handlers are given."""

    queue: Queue
    versions: Versions


async def solver_seen(meta: Mapping[str, Any], memo: Memo, type: str | None, **_: object) -> None:  # noqa: A002
    """An MCQSolver was created, changed or deleted."""
    memo.versions.saw(SOLVER.plural, meta, gone=type == "DELETED")
    memo.queue.add(SolverKey(meta["namespace"], meta["name"]))


async def child_seen(
    meta: Mapping[str, Any],
    memo: Memo,
    type: str | None,  # noqa: A002
    resource: kopf.Resource,
    **_: object,
) -> None:
    """An object that was made for a solver, or one of its Pods, was created, changed or deleted."""
    memo.versions.saw(resource.plural, meta, gone=type == "DELETED")
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


def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """The Pod's service account or, outside a cluster, KUBECONFIG."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def registry(*, absent: Collection[Kind] = ()) -> kopf.OperatorRegistry:
    """Every handler, but for kinds that the API server doesn't know."""
    made = kopf.OperatorRegistry()
    kopf.on.login(registry=made)(login)
    if SOLVER not in absent:
        kopf.on.event(SOLVER.group, SOLVER.version, SOLVER.plural, registry=made)(solver_seen)
    for kind in (POD, *CHILDREN):
        if kind not in absent:
            kopf.on.event(kind.group, kind.version, kind.plural, registry=made)(child_seen)
    return made


def settings() -> kopf.OperatorSettings:
    """kopf's settings: the server filters children by label, and kopf writes nothing."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.peering.standalone = True
    # Which kinds there are, the operator finds out itself: without rights to look at CRDs and namespaces.
    made.scanning.disabled = True
    for kind in (POD, *CHILDREN):
        made.watching.label_selectors[kind.group, kind.version, kind.plural] = names.MANAGED_SELECTOR
    return made
