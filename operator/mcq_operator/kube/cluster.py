"""The cluster as the reconcile sees it: resources and their objects, read, made so, and told of."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from mcq_operator.models import (
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
from mcq_operator.models.kinds import (
    EVENT,
    EXAM,
    JOB,
    POD,
    RECONCILED,
    REPLICA_SET,
    SOLVER,
    WATCHED,
    Kind,
    kind_named,
)
from mcq_operator.models.observed import Refusal, Rival
from mcq_operator.models.resource import KEYS

from .api import Api
from .attempt import attempt
from .discovery import Discovery
from .errors import ClusterError, InvalidSpecError
from .hosts import Hosts
from .owners import owned
from .settling import Applied, Settling

logger = logging.getLogger(__name__)

Read = TypeVar("Read", bound=Resource)

AT_ONCE = 4
"""Lists of versions that are asked for at the same time."""


@dataclass(frozen=True, kw_only=True)
class Children:
    """A resource's objects as they were found.

    Attributes:
        live: each object that there is, whoever owns it.
        pods: the resource's Pods.
        refused: objects that could not be read, which may be there or not.

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
    """What became of objects that are not wanted any more: on their way out, or not to be deleted."""

    leaving: list[ObjectRef] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


class Cluster:
    """The only way from the operator's logic to the API server."""

    def __init__(self, api: Api, *, namespaces: Iterable[str] = (), instance: str = FIELD_MANAGER) -> None:
        """Serve `namespaces`, or all of them when none is named; `instance` is who Events are reported by."""
        self._api = api
        self._scopes: list[str | None] = [*namespaces] or [None]
        self._instance = instance
        self._listing = asyncio.Semaphore(AT_ONCE)
        self._discovery = Discovery(api)
        self._hosts = Hosts(api, scopes=self._scopes, clock=time.monotonic)
        self._settling = Settling(api, self._discovery)

    @property
    def absent(self) -> frozenset[Kind]:
        """Kinds with a CRD that the API server does not know."""
        return self._discovery.absent

    async def discover(self) -> bool:
        """Find out which kinds the server knows; returns whether that changed. Raises ClusterError."""
        changed = await self._discovery.refresh()
        for kind in self.absent:
            self._api.forget(kind)
        return changed

    def forget(self) -> None:
        """Empty the store: the server's versions began again at an older one."""
        for kind in WATCHED:
            self._api.forget(kind)

    def unlisted(self) -> set[Kind]:
        """Return the kinds whose watches have not listed their objects yet."""
        scopes = [(kind, scope) for kind in WATCHED if kind not in self.absent for scope in self._scopes]
        return {kind for kind, scope in scopes if not self._api.listed(kind, scope)}

    async def keys(self) -> list[Key]:
        """Every solver and exam there is. Raises ClusterError."""
        found: list[Key] = []
        for kind in RECONCILED:
            for namespace in self._scopes:
                for item in await self._api.list(kind, namespace=namespace):
                    metadata = item["metadata"]
                    found.append(KEYS[kind.kind](metadata["namespace"], metadata["name"]))
        return found

    async def versions(self, kind: Kind) -> dict[tuple[str, str], int]:
        """Return the versions of all watched objects of a kind, by namespace and name. Raises ClusterError."""
        selector = names.watch_selector(kind)
        found: dict[tuple[str, str], int] = {}
        for namespace in self._scopes:
            # A service that watches fifty namespaces must not ask for all of them, of all kinds, at once.
            async with self._listing:
                found |= await self._api.versions(kind, namespace=namespace, selector=selector)
        return found

    async def solver(self, key: SolverKey) -> MCQSolver | None:
        """The solver as it is now, or None. Raises InvalidSpecError, or another ClusterError."""
        raw = await self._api.get(SOLVER, namespace=key.namespace, name=key.name)
        return None if raw is None else _read(MCQSolver, raw)

    async def exam(self, key: ExamKey) -> MCQExam | None:
        """The exam as it is now, or None. Raises InvalidSpecError, or another ClusterError."""
        raw = await self._api.get(EXAM, namespace=key.namespace, name=key.name)
        return None if raw is None else _read(MCQExam, raw)

    async def stored(self, key: Key) -> Resource | None:
        """The resource's metadata and status, whatever its spec is. Raises ClusterError."""
        model = {SolverKey: MCQSolver, ExamKey: MCQExam}[type(key)]
        kind = SOLVER if model is MCQSolver else EXAM
        raw = await self._api.get(kind, namespace=key.namespace, name=key.name)
        return None if raw is None else model.without_spec(raw)

    async def exams(self, solver: MCQSolver) -> list[MCQExam]:
        """The solver's exams, but for those that can't be read. Raises ClusterError."""
        if EXAM in self.absent:
            return []
        found = []
        for raw in await self._api.exams(namespace=solver.namespace, solver=solver.name):
            with contextlib.suppress(InvalidSpecError):  # its own reconcile tells of it
                found.append(_read(MCQExam, raw))
        return found

    async def jobs(self, exam: MCQExam) -> list[Manifest]:
        """The exam's Jobs, its CronJob's among them. Raises ClusterError."""
        return await self._api.list(JOB, namespace=exam.namespace, selector=names.selector(exam))

    async def backups(self, solver: MCQSolver) -> tuple[list[Manifest], list[Manifest]]:
        """The Jobs that back the solver's namespace up, and their Pods. Raises ClusterError."""
        where = {"namespace": solver.namespace, "selector": names.backup_selector(solver)}
        jobs, pods = await asyncio.gather(*(self._api.list(kind, **where) for kind in (JOB, POD)))
        return jobs, pods

    async def still_has(self, resource: Resource) -> bool:
        """Whether this very resource is there, and not on its way out. Raises ClusterError.

        Asked after the children were looked at, it tells a child that was deleted from one that the garbage
        collector took because the resource is gone.
        """
        kind = kind_named(API_VERSION, resource.KEY.KIND)
        assert kind is not None  # noqa: S101 - it is in the table
        raw = await self._api.ask(kind, namespace=resource.namespace, name=resource.name)
        metadata: Manifest = raw["metadata"] if raw else {}
        return metadata.get("uid") == resource.metadata.uid and "deletionTimestamp" not in metadata

    async def children(
        self, resource: Resource, refs: Iterable[ObjectRef], *, wanted: Collection[ObjectRef] = ()
    ) -> Children:
        """The objects by these names, whoever owns them, and the resource's Pods. Raises ClusterError.

        Of what was never heard, there is most likely none: if it is `wanted` it will be made, which is refused where
        it is there; otherwise it is looked for only if the resource's status says that it was made.
        """
        recorded = {*resource.status.inventory}.difference(wanted)
        looked = [ref for ref in refs if ref in recorded or not self._unseen(resource.namespace, ref)]
        pods, found = await asyncio.gather(
            self._api.list(POD, namespace=resource.namespace, selector=names.selector(resource)),
            asyncio.gather(*(attempt("read", ref, self._get(resource.namespace, ref)) for ref in looked)),
        )
        children = Children(live={}, pods=pods)
        for ref, live in zip(looked, found, strict=True):
            if isinstance(live, Refusal):
                children.refused.append(live)
            elif live is not None:
                children.live[ref] = live
        return children

    async def apply(self, resource: Resource, wanted: dict[ObjectRef, Manifest], found: Children) -> Applied:
        """Apply the wanted objects that differ; what is so already costs nothing.

        One that fails does not keep the others from being applied; one that could not be read is left alone, and so is
        what depends on it. Raises NoAnswerError, NotLeadingError.
        """
        known = {ref: manifest for ref, manifest in wanted.items() if ref not in found.unread}
        return await self._settling.apply(resource, known, found.live, unread=found.unread)

    async def prune(self, resource: Resource, found: Children, *, keep: Iterable[ObjectRef]) -> Pruned:
        """Delete what the resource owns and wants no more. Raises NoAnswerError, NotLeadingError."""
        kept, pruned = set(keep), Pruned()
        for ref, live in found.live.items():
            kind = kind_named(ref.api_version, ref.kind)
            if ref in kept or kind is None or not owned(live, resource):
                continue
            pruned.leaving.append(ref)
            metadata = live["metadata"]
            if "deletionTimestamp" not in metadata:
                logger.info("deleting %s %s, which is no longer wanted", ref.kind, ref.name)
                call = self._api.delete(
                    kind, namespace=resource.namespace, name=ref.name, uid=metadata["uid"]
                )
                if isinstance(refusal := await attempt("delete", ref, call), Refusal):
                    pruned.refused.append(refusal)
        return pruned

    async def replica_sets(self, solver: MCQSolver) -> list[Manifest]:
        """The ReplicaSets of the solver's replicas, with the templates of its last revisions. Raises ClusterError."""
        return await self._api.list(REPLICA_SET, namespace=solver.namespace, selector=names.selector(solver))

    async def warnings(self, about: Manifest) -> list[Manifest]:
        """What was warned of about an object, the latest last. Raises ClusterError."""
        metadata = about["metadata"]
        fields = f"regarding.uid={metadata['uid']},type=Warning"
        found = await self._api.list(EVENT, namespace=metadata["namespace"], fields=fields)
        return sorted(found, key=lambda event: event.get("deprecatedLastTimestamp") or "")

    async def rival(self, kind: Kind, desired: Manifest, live: Manifest | None) -> Rival | None:
        """Return the older Ingress or HTTPRoute that takes requests of the desired one. Raises ClusterError."""
        return await self._hosts.rival(kind, desired, live)

    def knows_route(self, kind: Kind, live: Manifest) -> bool:
        """Whether rivals were looked for since the Ingress or HTTPRoute takes what it does."""
        return self._hosts.listed(kind, live)

    async def tell(self, resource: Resource, event: Manifest) -> None:
        """Create an Event. One that can't be is logged: nothing depends on it."""
        try:
            await self._api.create(EVENT, {**event, "reportingInstance": self._instance})
        except ClusterError as error:
            logger.warning("%s: the Event %s was not created: %s", resource.name, event.get("reason"), error)

    async def write_status(self, resource: Resource, status: ResourceStatus) -> bool:
        """Write the status if it differs from what the resource has; returns whether it was written."""
        if status == resource.status:
            return False
        metadata = {
            "name": resource.name,
            "namespace": resource.namespace,
            # Not the status of a namesake that was created in between.
            "uid": resource.metadata.uid,
        }
        await self._api.apply_status(
            {
                "apiVersion": API_VERSION,
                "kind": resource.KEY.KIND,
                "metadata": metadata,
                "status": status.model_dump(by_alias=True, exclude_none=True),
            }
        )
        return True

    async def _get(self, namespace: str, ref: ObjectRef) -> Manifest | None:
        kind = kind_named(ref.api_version, ref.kind)
        if kind is None or kind in self.absent:
            return None
        return await self._api.get(kind, namespace=namespace, name=ref.name)

    def _unseen(self, namespace: str, ref: ObjectRef) -> bool:
        kind = kind_named(ref.api_version, ref.kind)
        return kind is not None and self._api.unseen(kind, namespace=namespace, name=ref.name)


def _read(model: type[Read], raw: Manifest) -> Read:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InvalidSpecError(model.without_spec(raw), problems) from error
