"""Objects made what is wanted, and written only where they differ."""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from mcq_operator.models import FIELD_MANAGER, Manifest, ObjectRef, Resource
from mcq_operator.models.dependencies import dependencies
from mcq_operator.models.kinds import kind_of
from mcq_operator.models.observed import Refusal

from .altered import Altered
from .api import Api
from .attempt import attempt
from .discovery import Discovery
from .errors import ConflictError, NotFoundError
from .owners import orphaned, owned

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""How long one write holds up the next: a webhook that hangs takes half a minute for each object."""


@dataclass(kw_only=True)
class Applied:
    """What became of the wanted objects.

    Attributes:
        live: each of the resource's objects as the server has it.
        conflicts: objects whose name someone else's object has.
        held: objects that were left as they are because they depend on one of those.
        refused: objects that the server did not take.
        absent: objects of kinds that the server does not know.

    """

    live: dict[ObjectRef, Manifest] = field(default_factory=dict)
    conflicts: list[ObjectRef] = field(default_factory=list)
    held: list[ObjectRef] = field(default_factory=list)
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
        self,
        resource: Resource,
        wanted: Mapping[ObjectRef, Manifest],
        found: Mapping[ObjectRef, Manifest],
        *,
        unread: Collection[ObjectRef] = (),
    ) -> Applied:
        """Apply each wanted object that differs from `found`, one after the other, in an order in which what an object
        depends on comes before it.

        One that fails, or takes long, does not hold up the others. But nothing is made on top of an object that is
        someone else's, or that may be because it is among the `unread`. Raises NoAnswerError, NotLeadingError.
        """
        applied = Applied()
        writes: dict[ObjectRef, asyncio.Task[None]] = {}
        try:
            for ref, manifest in wanted.items():
                live = found.get(ref)
                if kind_of(manifest) in self._discovery.absent:
                    applied.absent.append(ref)
                elif live is not None and self._settled(resource, ref, manifest, live):
                    applied.live[ref] = live
                else:
                    needed = dependencies(manifest)
                    before = [writes[each] for each in needed & writes.keys() if not writes[each].done()]
                    write = writes[ref] = asyncio.create_task(
                        self._write_after(before, applied, resource, manifest, live, needed, unread)
                    )
                    await asyncio.wait({write}, timeout=0 if before else PATIENCE_SECONDS)
                    if write.done():
                        write.result()
            await asyncio.gather(*writes.values())
        finally:
            for write in writes.values():
                write.cancel()
            await asyncio.gather(*writes.values(), return_exceptions=True)
        return applied

    def _settled(self, resource: Resource, ref: ObjectRef, wanted: Manifest, live: Manifest) -> bool:
        """Return whether there is nothing to write; one on its way out is left to go, and its end is an event."""
        return _ours(live, resource) and (
            "deletionTimestamp" in live["metadata"] or self._altered.settled(ref, wanted, live)
        )

    async def _write_after(
        self,
        before: Collection[asyncio.Task[None]],
        applied: Applied,
        resource: Resource,
        wanted: Manifest,
        live: Manifest | None,
        needed: Collection[ObjectRef],
        unread: Collection[ObjectRef],
    ) -> None:
        """Write one object once those before it are done, unless one that it needs is, or may be, someone else's."""
        if before:
            await asyncio.wait(before)
        ref = _ref(wanted)
        if not {*applied.conflicts, *applied.held, *unread}.isdisjoint(needed):
            applied.held.append(ref)
            if live is not None and _ours(live, resource):
                applied.live[ref] = live
            return
        await self._write(applied, resource, ref, wanted, live)

    async def _write(
        self, applied: Applied, resource: Resource, ref: ObjectRef, wanted: Manifest, live: Manifest | None
    ) -> None:
        """Make or apply one object, and note in `applied` what became of it."""
        stored = await attempt("apply", ref, self._settle(resource, ref, wanted, live))
        if kind_of(wanted) in self._discovery.absent:
            applied.absent.append(ref)
        elif stored is None:
            applied.conflicts.append(ref)
        elif not isinstance(stored, Refusal):
            applied.live[ref] = stored
        else:
            applied.refused.append(stored)
            if live is not None:
                applied.live[ref] = live

    async def _settle(
        self, resource: Resource, ref: ObjectRef, wanted: Manifest, live: Manifest | None
    ) -> Manifest | None:
        """Make or apply one object; returns it, or None where one by its name is someone else's."""
        try:
            return await self._make_or_apply(resource, ref, wanted, live)
        except ConflictError:
            # It was made, deleted or replaced since it was looked at.
            live = await self._api.get(kind_of(wanted), namespace=resource.namespace, name=ref.name)
            return await self._make_or_apply(resource, ref, wanted, live)
        except NotFoundError:
            if kind_of(wanted).provider:
                # Its CRD was removed a moment ago.
                self._discovery.lost(kind_of(wanted))
            raise

    async def _make_or_apply(
        self, resource: Resource, ref: ObjectRef, wanted: Manifest, live: Manifest | None
    ) -> Manifest | None:
        if live is None:
            stored = await self._api.make(wanted)
        elif not _ours(live, resource):
            return None
        elif self._settled(resource, ref, wanted, live):
            return live
        else:
            metadata = {**wanted["metadata"], "uid": live["metadata"]["uid"]}
            await self._hand_over_replicas(wanted, live)
            stored = await self._api.apply({**wanted, "metadata": metadata}, force=True)
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


def _ref(manifest: Manifest) -> ObjectRef:
    return kind_of(manifest).named(manifest["metadata"]["name"])


def _ours(live: Manifest, resource: Resource) -> bool:
    return owned(live, resource) or orphaned(live, resource)
