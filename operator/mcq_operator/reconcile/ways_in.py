"""A solver's Ingress and HTTPRoute, which must not take requests that are another namespace's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcq_operator.kube import Children, Cluster, ClusterError, NoAnswerError
from mcq_operator.models import Manifest, ObjectRef
from mcq_operator.models.kinds import HTTP_ROUTE, INGRESS
from mcq_operator.models.observed import Refusal, Rival

SOON_SECONDS = 3.0
"""After that, whoever asked for the same host at the same moment is on the list."""


@dataclass(kw_only=True)
class WaysIn:
    """What was found of them.

    Attributes:
        rivals: who has such a host and path already.
        withheld: objects that are not applied for its sake.
        deleted: those of them that have to go.
        refused: objects that are not applied because nobody knows whether there is a rival.
        settled: whether all that is applied is known to have no rival.

    """

    rivals: list[Rival] = field(default_factory=list)
    withheld: set[ObjectRef] = field(default_factory=set)
    deleted: set[ObjectRef] = field(default_factory=set)
    refused: list[Refusal] = field(default_factory=list)
    settled: bool = True


async def ways_in(cluster: Cluster, desired: Mapping[ObjectRef, Manifest], found: Children) -> WaysIn:
    """Look for rivals of the desired Ingress and HTTPRoute. Raises NoAnswerError."""
    result = WaysIn()
    for ref, manifest in desired.items():
        if ref.kind not in (INGRESS.kind, HTTP_ROUTE.kind):
            continue
        live = found.live.get(ref)
        try:
            rival = await cluster.rival(manifest, live)
            if rival is None:
                result.settled &= cluster.knows_route(manifest, live)
                continue
            result.rivals.append(rival)
            if not rival.elsewhere:
                continue
            result.withheld.add(ref)
            # A host that it has, and that is nobody else's, it keeps until the spec is corrected.
            taken = await cluster.rival(live, live) if live else None
            if taken is not None and taken.elsewhere:
                result.deleted.add(ref)
        except NoAnswerError:
            raise
        except ClusterError as error:
            result.withheld.add(ref)
            result.refused.append(Refusal(ref=ref, message=str(error), attempt="read", temporary=True))
    return result
