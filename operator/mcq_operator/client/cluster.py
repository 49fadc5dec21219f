"""The cluster as the reconciles see it: they read, apply and prune objects, and write statuses and Events."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Iterable
from typing import TypeVar

from pydantic import ValidationError

from mcq_operator.api import (
    API_VERSION,
    FIELD_MANAGER,
    ExamKey,
    Key,
    Manifest,
    MCQExam,
    MCQSolver,
    ObjectRef,
    Resource,
    ResourceStatus,
    SolverKey,
    names,
)
from mcq_operator.api.kinds import (
    EVENT,
    EXAM,
    JOB,
    POD,
    RECONCILED,
    REPLICA_SET,
    SOLVER,
    WATCHED,
    Kind,
)
from mcq_operator.api.resource import KEYS

from .apply import Applied, Applier
from .children import Children, Pruned, prune_children, read_children
from .client import Client
from .discovery import Discovery
from .errors import ClusterError, InvalidSpecError
from .route_table import RouteTable
from .scopes import Scopes

logger = logging.getLogger(__name__)

Read = TypeVar("Read", bound=Resource)

KINDS: dict[type[Key], Kind] = {SolverKey: SOLVER, ExamKey: EXAM}
"""The kind of each key's resource."""
AT_ONCE = 4
"""Concurrent lists of versions."""


class Cluster:
    """The operator's only interface to the API server."""

    def __init__(
        self, client: Client, *, namespaces: Iterable[str] = (), instance: str = FIELD_MANAGER
    ) -> None:
        """Serve `namespaces`, or all of them if there are none; `instance` is the reporter of Events."""
        self._client = client
        self._scopes = Scopes(namespaces)
        self._instance = instance
        self._listing = asyncio.Semaphore(AT_ONCE)
        self._discovery = Discovery(client)
        self.routes = RouteTable(client, scopes=self._scopes, clock=time.monotonic)
        self._applier = Applier(client, self._discovery)

    @property
    def absent(self) -> frozenset[Kind]:
        """Kinds with a CRD that the API server does not know."""
        return self._discovery.absent

    async def discover(self) -> bool:
        """Ask the server which kinds it knows; return whether that changed. Raises ClusterError."""
        changed = await self._discovery.refresh()
        for kind in self.absent:
            self._client.forget(kind)
        return changed

    def forget(self) -> None:
        """Empty the store: the server was restored from a backup, so its versions start again at an older number."""
        for kind in WATCHED:
            self._client.forget(kind)

    def unlisted(self) -> set[Kind]:
        """Return the kinds with a watch that has not listed its objects yet, and that the server does not refuse."""
        watches = [(kind, scope) for kind in WATCHED if kind not in self.absent for scope in self._scopes]
        return {
            kind
            for kind, scope in watches
            if not self._client.listed(kind, scope) and not self._scopes.is_refused(kind, scope)
        }

    def unreadable(self, kind: Kind) -> set[str]:
        """Return the namespaces whose objects of the kind the operator may not list."""
        return self._scopes.unreadable(kind)

    async def keys(self) -> list[Key]:
        """Return the keys of all solvers and exams, except in unreadable namespaces. Raises ClusterError."""
        keys: list[Key] = []
        for kind in RECONCILED:
            for namespace in self._scopes:
                request = self._client.list(kind, namespace=namespace)
                for item in await self._scopes.read(kind, namespace, request) or ():
                    metadata = item["metadata"]
                    keys.append(KEYS[kind.kind](metadata["namespace"], metadata["name"]))
        return keys

    async def versions(self, kind: Kind) -> dict[tuple[str, str], int]:
        """Return the versions of all watched objects of a kind, by namespace and name; see `unreadable`.

        Raises ClusterError.
        """
        selector = names.watch_selector(kind)
        versions: dict[tuple[str, str], int] = {}
        for namespace in self._scopes:
            # An operator of fifty namespaces must not list all of them, for all kinds, at once.
            async with self._listing:
                request = self._client.versions(kind, namespace=namespace, selector=selector)
                versions |= await self._scopes.read(kind, namespace, request) or {}
        return versions

    async def solver(self, key: SolverKey) -> MCQSolver | None:
        """Return the solver, or None. Raises InvalidSpecError or another ClusterError."""
        raw = await self._client.get(SOLVER, namespace=key.namespace, name=key.name)
        return None if raw is None else _read(MCQSolver, raw)

    async def exam(self, key: ExamKey) -> MCQExam | None:
        """Return the exam, or None. Raises InvalidSpecError or another ClusterError."""
        raw = await self._client.get(EXAM, namespace=key.namespace, name=key.name)
        return None if raw is None else _read(MCQExam, raw)

    async def stored(self, key: Key) -> Resource | None:
        """Return the resource's metadata and status without its spec, which may be invalid. Raises ClusterError."""
        model = MCQSolver if isinstance(key, SolverKey) else MCQExam
        raw = await self._client.get(KINDS[type(key)], namespace=key.namespace, name=key.name)
        return None if raw is None else model.without_spec(raw)

    async def exams(self, solver: MCQSolver) -> list[MCQExam]:
        """Return the solver's exams with a valid spec. Raises ClusterError."""
        if EXAM in self.absent:
            return []
        exams = []
        for raw in await self._client.referring(EXAM, namespace=solver.namespace, solver=solver.name):
            with contextlib.suppress(InvalidSpecError):  # its own status says so
                exams.append(_read(MCQExam, raw))
        return exams

    async def escalating(self, solver: MCQSolver) -> list[SolverKey]:
        """Return the keys of the solvers that escalate to this one. Raises ClusterError."""
        raw = await self._client.referring(SOLVER, namespace=solver.namespace, solver=solver.name)
        return [SolverKey(solver.namespace, each["metadata"]["name"]) for each in raw]

    async def jobs(self, exam: MCQExam) -> list[Manifest]:
        """Return the exam's Jobs, including those of its CronJob. Raises ClusterError."""
        return await self._client.list(JOB, namespace=exam.namespace, selector=names.selector(exam))

    async def backups(self, solver: MCQSolver) -> tuple[list[Manifest], list[Manifest]]:
        """Return the backup Jobs of the solver's namespace, and their Pods. Raises ClusterError."""
        where = {"namespace": solver.namespace, "selector": names.backup_selector(solver)}
        jobs, pods = await asyncio.gather(*(self._client.list(kind, **where) for kind in (JOB, POD)))
        return jobs, pods

    async def still_has(self, resource: Resource) -> bool:
        """Ask the server whether this resource, with this uid, exists and is not being deleted. Raises ClusterError.

        The reconcile calls it after reading the children. A missing child was either deleted alone, or taken by the
        garbage collector together with the resource.
        """
        raw = await self._client.get_live(
            KINDS[resource.KEY], namespace=resource.namespace, name=resource.name
        )
        metadata: Manifest = raw["metadata"] if raw else {}
        return metadata.get("uid") == resource.metadata.uid and "deletionTimestamp" not in metadata

    async def children(
        self, resource: Resource, refs: Iterable[ObjectRef], *, desired: Collection[ObjectRef] = ()
    ) -> Children:
        """Return the objects by these names, whoever owns them, and the resource's Pods. Raises ClusterError."""
        return await read_children(self._client, resource, refs, desired=desired, absent=self.absent)

    async def apply(
        self, resource: Resource, desired: dict[ObjectRef, Manifest], children: Children
    ) -> Applied:
        """Apply the desired objects that differ from their live versions.

        A failure does not stop the other objects. Objects that could not be read stay as they are, and so do objects
        that depend on them. Raises NoAnswerError, NotLeadingError.
        """
        readable = {ref: manifest for ref, manifest in desired.items() if ref not in children.unread}
        return await self._applier.apply(resource, readable, children.live, unread=children.unread)

    async def prune(self, resource: Resource, children: Children, *, keep: Iterable[ObjectRef]) -> Pruned:
        """Delete the resource's own objects that are not in `keep`. Raises NoAnswerError, NotLeadingError."""
        return await prune_children(self._client, resource, children, keep=keep)

    async def replica_sets(self, solver: MCQSolver) -> list[Manifest]:
        """Return the solver's ReplicaSets, with the templates of its last revisions. Raises ClusterError."""
        return await self._client.list(
            REPLICA_SET, namespace=solver.namespace, selector=names.selector(solver)
        )

    async def events(self, about: Manifest) -> list[Manifest]:
        """Return the Events about an object. Raises ClusterError."""
        metadata = about["metadata"]
        fields = f"regarding.uid={metadata['uid']}"
        return await self._client.list(EVENT, namespace=metadata["namespace"], fields=fields)

    async def emit_event(self, resource: Resource, event: Manifest) -> None:
        """Create an Event. Log a failure: nothing depends on Events."""
        try:
            await self._client.create(EVENT, {**event, "reportingInstance": self._instance})
        except ClusterError as error:
            logger.warning("%s: can't create the Event %s: %s", resource.name, event.get("reason"), error)

    async def write_status(self, resource: Resource, status: ResourceStatus) -> bool:
        """Write the status if it differs from the stored one; return whether it did. Raises ClusterError."""
        if status == resource.status:
            return False
        metadata = {
            "name": resource.name,
            "namespace": resource.namespace,
            # Refuse the write if the resource was replaced by one of the same name.
            "uid": resource.metadata.uid,
        }
        await self._client.apply_status(
            {
                "apiVersion": API_VERSION,
                "kind": resource.KEY.KIND,
                "metadata": metadata,
                "status": status.model_dump(by_alias=True, exclude_none=True),
            }
        )
        return True


def _read(model: type[Read], raw: Manifest) -> Read:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InvalidSpecError(model.without_spec(raw), problems) from error
