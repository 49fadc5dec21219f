"""A resource's objects: read them, and delete those that the spec no longer needs."""

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from mcq_operator.api import Manifest, ObjectRef, Resource, names
from mcq_operator.api.kinds import POD, Kind, kind_named
from mcq_operator.api.observed import Refusal
from mcq_operator.store.ownership import owned

from .attempt import attempt
from .client import Client

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Children:
    """A resource's objects as a reconcile observed them.

    Attributes:
        live: each existing object, whoever owns it.
        pods: the resource's Pods.
        refused: objects that could not be read, so that their existence is unknown.

    """

    live: dict[ObjectRef, Manifest]
    pods: list[Manifest]
    refused: list[Refusal] = field(default_factory=list)

    @property
    def unread(self) -> set[ObjectRef]:
        """The objects that could not be read."""
        return {refusal.ref for refusal in self.refused}


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """Objects that the spec no longer needs: those under deletion, and those that the server refuses to delete."""

    deleting: list[ObjectRef] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


async def read_children(
    client: Client,
    resource: Resource,
    refs: Iterable[ObjectRef],
    *,
    desired: Collection[ObjectRef],
    absent: Collection[Kind],
) -> Children:
    """Return the objects by these names, whoever owns them, and the resource's Pods. Raises ClusterError.

    Skip the read of an object that no event has shown, because it probably does not exist. If it is `desired`, the
    reconcile creates it, which the server refuses if it exists. Otherwise, read it only if the inventory has it. No
    object is of an `absent` kind.
    """
    namespace, recorded = resource.namespace, {*resource.status.inventory}.difference(desired)
    named = ((ref, kind_named(ref.api_version, ref.kind)) for ref in refs)
    to_read = {
        ref: kind
        for ref, kind in named
        if kind is not None
        and kind not in absent
        and (ref in recorded or not client.is_unknown(kind, namespace=namespace, name=ref.name))
    }
    pods, manifests = await asyncio.gather(
        client.list(POD, namespace=namespace, selector=names.selector(resource)),
        asyncio.gather(
            *(
                attempt("read", ref, client.get(kind, namespace=namespace, name=ref.name))
                for ref, kind in to_read.items()
            )
        ),
    )
    children = Children(live={}, pods=pods)
    for ref, live in zip(to_read, manifests, strict=True):
        if isinstance(live, Refusal):
            children.refused.append(live)
        elif live is not None:
            children.live[ref] = live
    return children


async def prune_children(
    client: Client, resource: Resource, children: Children, *, keep: Iterable[ObjectRef]
) -> Pruned:
    """Delete the resource's own objects that are not in `keep`. Raises NoAnswerError, NotLeadingError."""
    retained, pruned = set(keep), Pruned()
    for ref, live in children.live.items():
        kind = kind_named(ref.api_version, ref.kind)
        if ref in retained or kind is None or not owned(live, resource):
            continue
        pruned.deleting.append(ref)
        metadata = live["metadata"]
        if "deletionTimestamp" not in metadata:
            logger.info("deleting %s %s, which the spec no longer needs", ref.kind, ref.name)
            call = client.delete(kind, namespace=resource.namespace, name=ref.name, uid=metadata["uid"])
            if isinstance(refusal := await attempt("delete", ref, call), Refusal):
                pruned.refused.append(refusal)
    return pruned
