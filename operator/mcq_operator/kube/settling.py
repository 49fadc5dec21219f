"""Objects made what is wanted, and written only where they differ."""

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from mcq_operator.models import FIELD_MANAGER, Manifest, ObjectRef, Resource
from mcq_operator.models.kinds import kind_of
from mcq_operator.models.observed import Refusal

from .altered import Altered
from .api import Api
from .discovery import Discovery
from .errors import ConflictError, NotFoundError, RefusedError
from .owners import orphaned, owned

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Applied:
    """What became of the wanted objects."""

    live: dict[ObjectRef, Manifest] = field(default_factory=dict)
    conflicts: list[ObjectRef] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    absent: list[ObjectRef] = field(default_factory=list)


class Settling:
    """Who writes a resource's objects, and remembers what the API server made of them."""

    def __init__(self, api: Api, discovery: Discovery) -> None:
        """`discovery` knows which kinds there are, and is told of one that has gone."""
        self._api = api
        self._discovery = discovery
        self._altered = Altered()

    async def apply(
        self, resource: Resource, wanted: Mapping[ObjectRef, Manifest], found: Mapping[ObjectRef, Manifest]
    ) -> Applied:
        """Make the wanted objects so, one after the other, where they are other than `found`.

        Raises ClusterError for what another try may mend.
        """
        applied = Applied()
        for ref, manifest in wanted.items():
            if kind_of(manifest) in self._discovery.absent:
                applied.absent.append(ref)
                continue
            live = found.get(ref)
            try:
                stored = await self._settle(resource, ref, manifest, live)
                if stored is None:
                    applied.conflicts.append(ref)
                else:
                    applied.live[ref] = stored
            except RefusedError as error:
                if isinstance(error, NotFoundError) and kind_of(manifest).provider:
                    # Its CRD was removed a moment ago.
                    self._discovery.lost(kind_of(manifest))
                    applied.absent.append(ref)
                    continue
                applied.refused.append(Refusal(ref=ref, message=str(error)))
                if live is not None:
                    applied.live[ref] = live
        return applied

    async def _settle(
        self, resource: Resource, ref: ObjectRef, wanted: Manifest, live: Manifest | None
    ) -> Manifest | None:
        """Make or apply one object; returns it, or None where one by its name is someone else's."""
        if live is None:
            try:
                return self._stored(ref, wanted, await self._api.make(wanted))
            except ConflictError:
                live = await self._api.get(kind_of(wanted), namespace=resource.namespace, name=ref.name)
                if live is None:
                    raise
        if not (owned(live, resource) or orphaned(live, resource)):
            return None
        return await self._apply(ref, wanted, live)

    async def _apply(self, ref: ObjectRef, wanted: Manifest, live: Manifest) -> Manifest:
        """Apply one object if it differs. One on its way out is left to go; its end is an event."""
        if "deletionTimestamp" in live["metadata"] or self._altered.settled(ref, wanted, live):
            return live
        metadata = {**wanted["metadata"], "uid": live["metadata"]["uid"]}
        await self._hand_over_replicas(wanted, live)
        stored = await self._api.apply({**wanted, "metadata": metadata}, force=True)
        return self._stored(ref, wanted, stored)

    def _stored(self, ref: ObjectRef, wanted: Manifest, stored: Manifest) -> Manifest:
        logger.info("applied %s %s/%s", ref.kind, wanted["metadata"]["namespace"], ref.name)
        self._altered.remember(ref, wanted, stored)
        return stored

    async def _hand_over_replicas(self, wanted: Manifest, live: Manifest) -> None:
        """Where the number of replicas becomes the autoscaler's, keep the number that there is.

        A field that its only owner applies no more is reset, to one replica here. So it gets a second owner first, and
        who changes the number, as the autoscaler does, takes it from that one.
        Source: Kubernetes, Server-Side Apply, "Transferring ownership".
        """
        spec = wanted.get("spec", {})
        if "template" not in spec or "replicas" in spec or not live["spec"].get("replicas"):
            # Of none an autoscaler makes none: there the reset is wanted.
            return
        metadata = {name: live["metadata"][name] for name in ("name", "namespace", "uid")}
        kept = {
            "apiVersion": wanted["apiVersion"],
            "kind": wanted["kind"],
            "metadata": metadata,
            "spec": {"replicas": live["spec"]["replicas"]},
        }
        # A conflict says that it is the autoscaler's already.
        with contextlib.suppress(ConflictError):
            await self._api.apply(kept, force=False, manager=f"{FIELD_MANAGER}-replicas")
