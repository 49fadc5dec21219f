"""Applies the desired objects that differ from the cluster; this also repairs drift."""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from mcq_operator.api import FIELD_MANAGER, Manifest, ObjectRef, Resource
from mcq_operator.api.dependencies import dependencies
from mcq_operator.api.kinds import kind_of, ref_of
from mcq_operator.api.observed import Refusal
from mcq_operator.store.observation import is_creation
from mcq_operator.store.ownership import orphaned, owned

from .admission_changes import AdmissionChanges
from .attempt import attempt
from .client import Client
from .discovery import Discovery
from .errors import ConflictError, KindNotFoundError

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""How long a write may delay the next one: a hanging webhook takes half a minute for each object."""


@dataclass(kw_only=True)
class Applied:
    """The results for the desired objects.

    Attributes:
        live: each of the resource's objects as the server has it.
        conflicts: objects with a name that someone else's object has.
        blocked: objects that stay as they are, because they depend on one of the conflicts.
        refused: objects that the server refused.
        absent: objects of kinds that the server does not know.

    """

    live: dict[ObjectRef, Manifest] = field(default_factory=dict)
    conflicts: list[ObjectRef] = field(default_factory=list)
    blocked: list[ObjectRef] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    absent: list[ObjectRef] = field(default_factory=list)


class Applier:
    """Writes a resource's objects, and remembers those that a webhook changed."""

    def __init__(self, client: Client, discovery: Discovery) -> None:
        """`discovery` knows which kinds exist; `apply` reports a removed one to it."""
        self._client = client
        self._discovery = discovery
        self._admission_changes = AdmissionChanges()

    async def apply(
        self,
        resource: Resource,
        desired: Mapping[ObjectRef, Manifest],
        live_objects: Mapping[ObjectRef, Manifest],
        *,
        unread: Collection[ObjectRef] = (),
    ) -> Applied:
        """Apply each desired object that differs from its live version, dependencies first.

        A failed or slow write does not delay the other objects. But an object stays as it is if it depends on someone
        else's object, or on one of the `unread`, which may be someone else's. Raises NoAnswerError, NotLeadingError.
        """
        applied = Applied()
        writes: dict[ObjectRef, asyncio.Task[None]] = {}
        try:
            for ref, manifest in desired.items():
                live = live_objects.get(ref)
                if kind_of(manifest) in self._discovery.absent:
                    applied.absent.append(ref)
                elif live is not None and self._is_applied(resource, ref, manifest, live):
                    applied.live[ref] = live
                else:
                    needs = dependencies(manifest)
                    earlier = [writes[each] for each in needs & writes.keys() if not writes[each].done()]
                    write = writes[ref] = asyncio.create_task(
                        self._write_after(earlier, applied, resource, manifest, live, needs, unread)
                    )
                    await asyncio.wait({write}, timeout=0 if earlier else PATIENCE_SECONDS)
                    if write.done():
                        write.result()
            await asyncio.gather(*writes.values())
        finally:
            for write in writes.values():
                write.cancel()
            await asyncio.gather(*writes.values(), return_exceptions=True)
        return applied

    def _is_applied(self, resource: Resource, ref: ObjectRef, desired: Manifest, live: Manifest) -> bool:
        """Return whether there is nothing to write. An object under deletion waits for the event of its end."""
        return _ours(live, resource) and (
            "deletionTimestamp" in live["metadata"] or self._admission_changes.is_applied(ref, desired, live)
        )

    async def _write_after(
        self,
        earlier: Collection[asyncio.Task[None]],
        applied: Applied,
        resource: Resource,
        desired: Manifest,
        live: Manifest | None,
        needs: Collection[ObjectRef],
        unread: Collection[ObjectRef],
    ) -> None:
        """Write an object after the earlier ones, and add the result to `applied`.

        Leave it as it is if an object that it needs is, or may be, someone else's.
        """
        if earlier:
            await asyncio.wait(earlier)
        ref = ref_of(desired)
        if not {*applied.conflicts, *applied.blocked, *unread}.isdisjoint(needs):
            applied.blocked.append(ref)
            if live is not None and _ours(live, resource):
                applied.live[ref] = live
            return
        stored = await attempt("apply", ref, self._write_or_conflict(resource, ref, desired, live))
        if kind_of(desired) in self._discovery.absent:
            applied.absent.append(ref)
        elif stored is None:
            applied.conflicts.append(ref)
        elif not isinstance(stored, Refusal):
            applied.live[ref] = stored
        else:
            applied.refused.append(stored)
            if live is not None:
                applied.live[ref] = live

    async def _write_or_conflict(
        self, resource: Resource, ref: ObjectRef, desired: Manifest, live: Manifest | None
    ) -> Manifest | None:
        """Create or apply one object; return it, or None if its name is taken by someone else's object."""
        try:
            return await self._create_or_apply(resource, ref, desired, live)
        except ConflictError:
            # It was created, deleted or replaced since the read.
            live = await self._client.get(kind_of(desired), namespace=resource.namespace, name=ref.name)
            return await self._create_or_apply(resource, ref, desired, live)
        except KindNotFoundError:
            if kind_of(desired).provider:
                # Its CRD has just been removed.
                self._discovery.mark_absent(kind_of(desired))
            raise

    async def _create_or_apply(
        self, resource: Resource, ref: ObjectRef, desired: Manifest, live: Manifest | None
    ) -> Manifest | None:
        if live is None:
            stored = await self._client.create(kind_of(desired), desired)
        elif not _ours(live, resource):
            return None
        elif self._is_applied(resource, ref, desired, live):
            return live
        else:
            metadata = {**desired["metadata"], "uid": live["metadata"]["uid"]}
            if any(map(is_creation, live["metadata"].get("managedFields", []))):
                await self._client.adopt_fields(kind_of(desired), namespace=resource.namespace, name=ref.name)
            await self._hand_over_replicas(desired, live)
            stored = await self._client.apply({**desired, "metadata": metadata}, force=True)
        logger.info("applied %s %s/%s", ref.kind, desired["metadata"]["namespace"], ref.name)
        self._admission_changes.record(ref, desired, stored)
        return stored

    async def _hand_over_replicas(self, desired: Manifest, live: Manifest) -> None:
        """Keep the number of replicas when it becomes the autoscaler's.

        The server resets a field when its only owner stops applying it, here to one replica. So the field gets a
        second owner first, and the autoscaler takes it from that one when it changes the number. Source: Kubernetes,
        Server-Side Apply, "Transferring ownership".
        """
        spec = desired.get("spec", {})
        if "template" not in spec or "replicas" in spec or not live["spec"].get("replicas"):
            # An autoscaler doesn't scale up from 0 replicas, so there the reset is right.
            return
        metadata = {name: live["metadata"][name] for name in ("name", "namespace", "uid")}
        replicas = {
            "apiVersion": desired["apiVersion"],
            "kind": desired["kind"],
            "metadata": metadata,
            "spec": {"replicas": live["spec"]["replicas"]},
        }
        # A conflict means that the autoscaler owns it already.
        with contextlib.suppress(ConflictError):
            await self._client.apply(replicas, force=False, manager=f"{FIELD_MANAGER}-replicas")


def _ours(live: Manifest, resource: Resource) -> bool:
    return owned(live, resource) or orphaned(live, resource)
