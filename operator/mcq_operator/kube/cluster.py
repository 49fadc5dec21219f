"""The cluster as the reconcile sees it: solvers, their objects, and writes that happen only when needed."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import ValidationError

from mcq_operator.models import API_VERSION, Manifest, MCQSolver, ObjectRef, SolverKey, SolverStatus, names
from mcq_operator.models.base import SOLVER_KIND
from mcq_operator.models.kinds import POD, SOLVER, kind_named
from mcq_operator.models.observed import Refusal

from .api import Api
from .compare import covers, project
from .errors import InvalidSpecError, RefusedError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Children:
    """A solver's objects as they were found. A name that nobody has is not among `live`."""

    live: dict[ObjectRef, Manifest]
    pods: list[Manifest]


@dataclass(kw_only=True)
class Applied:
    """What became of the wanted objects."""

    live: dict[ObjectRef, Manifest] = field(default_factory=dict)
    conflicts: list[ObjectRef] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


class Cluster:
    """The only way from the operator's logic to the API server."""

    def __init__(self, api: Api, *, namespaces: Iterable[str] = ()) -> None:
        """Serve `namespaces`, or all of them when none is named."""
        self._api = api
        self._namespaces = list(namespaces)
        self._altered: dict[tuple[str, ObjectRef], Manifest] = {}

    async def keys(self) -> list[SolverKey]:
        """Every solver there is. Raises ClusterError."""
        found: list[Manifest] = []
        scopes: list[str | None] = [*self._namespaces] or [None]
        for namespace in scopes:
            found += await self._api.list(SOLVER, namespace=namespace)
        return [SolverKey(item["metadata"]["namespace"], item["metadata"]["name"]) for item in found]

    async def solver(self, key: SolverKey) -> MCQSolver | None:
        """The solver as it is now, or None. Raises InvalidSpecError, or another ClusterError."""
        raw = await self._api.get(SOLVER, namespace=key.namespace, name=key.name)
        if raw is None:
            return None
        try:
            return MCQSolver.model_validate(raw)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
            )
            known = MCQSolver.model_validate({"metadata": raw["metadata"], "status": raw.get("status", {})})
            raise InvalidSpecError(known, problems) from error

    async def still_has(self, solver: MCQSolver) -> bool:
        """Whether this very solver is there, and not on its way out. Raises ClusterError.

        Asked after the children were looked at, it tells a child that was deleted from one that the garbage
        collector took because the solver is gone.
        """
        raw = await self._api.get(SOLVER, namespace=solver.namespace, name=solver.name)
        metadata: Manifest = raw["metadata"] if raw else {}
        return metadata.get("uid") == solver.metadata.uid and "deletionTimestamp" not in metadata

    async def children(self, solver: MCQSolver, refs: Iterable[ObjectRef]) -> Children:
        """The objects by these names, whoever owns them, and the replicas' Pods. Raises ClusterError."""
        wanted = list(refs)
        pods, *found = await asyncio.gather(
            self._api.list(POD, namespace=solver.namespace, selector=names.selector(solver)),
            *(self._get(solver.namespace, ref) for ref in wanted),
        )
        live = {ref: manifests[0] for ref, manifests in zip(wanted, found, strict=True) if manifests}
        return Children(live=live, pods=pods)

    async def apply(self, solver: MCQSolver, wanted: dict[ObjectRef, Manifest], found: Children) -> Applied:
        """Make the wanted objects so, one after the other; what is so already costs nothing.

        A refused object does not keep the others from being applied. Raises ClusterError for what another try
        may mend.
        """
        applied = Applied()
        for ref, manifest in wanted.items():
            live = found.live.get(ref)
            if live is not None and not (owned(live, solver) or _orphaned(live, solver)):
                applied.conflicts.append(ref)
                continue
            try:
                applied.live[ref] = await self._apply(ref, manifest, live)
            except RefusedError as error:
                applied.refused.append(Refusal(ref=ref, message=str(error)))
                if live is not None:
                    applied.live[ref] = live
        return applied

    async def prune(
        self, solver: MCQSolver, found: Children, *, keep: Iterable[ObjectRef]
    ) -> list[ObjectRef]:
        """Delete what the solver owns and wants no more; returns what is still on its way out."""
        kept = set(keep)
        leaving = []
        for ref, live in found.live.items():
            kind = kind_named(ref.api_version, ref.kind)
            if ref in kept or kind is None or not owned(live, solver):
                continue
            leaving.append(ref)
            metadata = live["metadata"]
            if "deletionTimestamp" not in metadata:
                logger.info("deleting %s %s, which is no longer wanted", ref.kind, ref.name)
                await self._api.delete(kind, namespace=solver.namespace, name=ref.name, uid=metadata["uid"])
        return leaving

    async def write_status(self, solver: MCQSolver, status: SolverStatus) -> bool:
        """Write the status if it differs from what the solver has; returns whether it was written."""
        if status == solver.status:
            return False
        metadata = {
            "name": solver.name,
            "namespace": solver.namespace,
            # Not the status of a namesake that was created in between.
            "uid": solver.metadata.uid,
        }
        await self._api.apply_status(
            {
                "apiVersion": API_VERSION,
                "kind": SOLVER_KIND,
                "metadata": metadata,
                "status": status.model_dump(by_alias=True, exclude_none=True),
            }
        )
        return True

    async def _get(self, namespace: str, ref: ObjectRef) -> list[Manifest]:
        kind = kind_named(ref.api_version, ref.kind)
        live = await self._api.get(kind, namespace=namespace, name=ref.name) if kind else None
        return [] if live is None else [live]

    async def _apply(self, ref: ObjectRef, wanted: Manifest, live: Manifest | None) -> Manifest:
        """Apply one object if it differs. One on its way out is left to go; its end is an event."""
        if live is None:
            # Without force: if someone else has just made one by this name, it stays theirs.
            stored = await self._api.apply(wanted, force=False)
        elif "deletionTimestamp" in live["metadata"] or self._settled(ref, wanted, live):
            return live
        else:
            metadata = {**wanted["metadata"], "uid": live["metadata"]["uid"]}
            stored = await self._api.apply({**wanted, "metadata": metadata}, force=True)
        logger.info("applied %s %s/%s", ref.kind, wanted["metadata"]["namespace"], ref.name)
        self._remember(ref, wanted, stored)
        return stored

    def _settled(self, ref: ObjectRef, wanted: Manifest, live: Manifest) -> bool:
        """Whether applying would change nothing."""
        if covers(live, wanted):
            return True
        altered = self._altered.get((wanted["metadata"]["namespace"], ref))
        return (
            altered is not None
            and covers(live, altered)
            and _digest(altered) == _digest(wanted)
            and live["metadata"]["uid"] == altered["metadata"]["uid"]
        )

    def _remember(self, ref: ObjectRef, wanted: Manifest, stored: Manifest) -> None:
        """Note what an admission webhook made of an object, so as not to fight it at each reconcile."""
        key = (wanted["metadata"]["namespace"], ref)
        self._altered.pop(key, None)
        if not covers(stored, wanted):
            logger.warning("%s %s is stored otherwise than applied: by a webhook?", ref.kind, ref.name)
            altered: Manifest = project(stored, wanted)
            altered["metadata"]["uid"] = stored["metadata"]["uid"]
            self._altered[key] = altered


def owned(live: Manifest, solver: MCQSolver) -> bool:
    """Whether the solver is the object's controller."""
    return any(
        reference.get("controller") and reference["uid"] == solver.metadata.uid
        for reference in live["metadata"].get("ownerReferences", [])
    )


def _orphaned(live: Manifest, solver: MCQSolver) -> bool:
    """Whether the object was made for a solver of this name and has no controller any more.

    So it is after `kubectl delete --cascade=orphan`, or when someone removed the owner reference.
    """
    metadata = live["metadata"]
    controlled = any(reference.get("controller") for reference in metadata.get("ownerReferences", []))
    found = metadata.get("labels", {})
    wanted = names.labels(solver)
    marks = (names.MANAGED_BY_LABEL, names.INSTANCE_LABEL)
    return not controlled and all(found.get(mark) == wanted[mark] for mark in marks)


def _digest(manifest: Manifest) -> str | None:
    digest: str | None = manifest["metadata"].get("annotations", {}).get(names.APPLIED_DIGEST)
    return digest
