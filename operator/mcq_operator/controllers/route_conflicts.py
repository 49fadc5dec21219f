"""A solver's Ingress and HTTPRoute, which must not take another namespace's requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcq_operator.api import Manifest, ObjectRef
from mcq_operator.api.kinds import HTTP_ROUTE, INGRESS
from mcq_operator.api.observed import Refusal, Rival
from mcq_operator.client import Applied, Children, Cluster, ClusterError, NoAnswerError

LIST_LAG_SECONDS = 3.0
"""How far the list of routes may lag: after this time, it has every object that was created at the same moment."""

_KINDS = {kind.kind: kind for kind in (INGRESS, HTTP_ROUTE)}


@dataclass(kw_only=True)
class RouteConflicts:
    """The rivals of the solver's Ingress and HTTPRoute.

    Attributes:
        rivals: older objects with one of the solver's hosts and paths.
        withheld: objects that must not be applied, because a rival is in another namespace.
        deleted: the withheld objects that must be deleted.
        refused: objects that are not applied because the list of rivals could not be read.

    """

    rivals: list[Rival] = field(default_factory=list)
    withheld: set[ObjectRef] = field(default_factory=set)
    deleted: set[ObjectRef] = field(default_factory=set)
    refused: list[Refusal] = field(default_factory=list)


async def find_route_conflicts(
    cluster: Cluster, desired: Mapping[ObjectRef, Manifest], children: Children
) -> RouteConflicts:
    """Look for rivals of the desired Ingress and HTTPRoute. Raises NoAnswerError."""
    result = RouteConflicts()
    for ref, manifest in desired.items():
        kind = _KINDS.get(ref.kind)
        if kind is None or kind in cluster.absent:
            continue
        live = children.live.get(ref)
        try:
            rival = await cluster.routes.rival(kind, manifest, live)
            if rival is None:
                continue
            result.rivals.append(rival)
            if not rival.elsewhere:
                continue
            result.withheld.add(ref)
            # Keep a host that no other object has, until the spec is corrected.
            taken = await cluster.routes.rival(kind, live, live) if live else None
            if taken is not None and taken.elsewhere:
                result.deleted.add(ref)
        except NoAnswerError:
            raise
        except ClusterError as error:
            result.withheld.add(ref)
            result.refused.append(Refusal(ref=ref, message=str(error), attempt="read", temporary=True))
    return result


def has_new_route(cluster: Cluster, applied: Applied) -> bool:
    """Return whether an Ingress or HTTPRoute is so new that the list may lack a rival of the same moment."""
    return any(
        not cluster.routes.has_all(_KINDS[ref.kind], live)
        for ref, live in applied.live.items()
        if ref.kind in _KINDS
    )
