"""A backup's objects, made again in a namespace: what is there already is not touched unless asked for.

It can be run again at any time: what an earlier run made is found to be the same.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from mcq_operator.desired.exam import results_map
from mcq_operator.kube import Api, RefusedError
from mcq_operator.kube.api import TIMEOUT_SECONDS
from mcq_operator.kube.errors import NotFoundError
from mcq_operator.kube.owners import orphaned, owned
from mcq_operator.models import Manifest, MCQExam
from mcq_operator.models.kinds import CONFIG_MAP, EXAM, kind_of

from .errors import RefusedByClusterError
from .taking import plain, reports

MANAGER = "mcq-operator-restore"


class Fate(StrEnum):
    """What becomes of an object."""

    CREATED = "created"
    UNCHANGED = "unchanged: it is there already"
    OVERWRITTEN = "overwritten"
    LEFT_ALONE = "left alone: it is there, and other than in the backup (--overwrite)"
    LEAVING = "left alone: it is being deleted; restore again once it is gone"
    FOREIGN = "left alone: it is there, and is no result of this exam"
    WITHOUT_EXAM = "left out: its exam is not there"
    REFUSED = "refused"


LACKING = frozenset({Fate.LEFT_ALONE, Fate.LEAVING, Fate.FOREIGN, Fate.WITHOUT_EXAM, Fate.REFUSED})
"""After these the namespace is not as the backup has it."""


class Restore:
    """One run."""

    def __init__(
        self, api: Api, *, namespace: str, overwrite: bool, dry_run: bool, say: Callable[[str], None]
    ) -> None:
        """Restore into `namespace`.

        Args:
            api: the cluster's.
            namespace: which need not be the one that was backed up.
            overwrite: whether what is there, and other, becomes what the backup has.
            dry_run: whether nothing is written.
            say: told a line for each object.

        """
        self._api = api
        self._namespace = namespace
        self._overwrite = overwrite
        self._dry_run = dry_run
        self._say = say

    async def run(self, objects: Iterable[Manifest]) -> list[Fate]:
        """Restore the objects in this order, and go on where one is refused. Raises ClusterError, BackupError."""
        fates = []
        for item in objects:
            fate, words = await self._settled(item)
            would = "would be " if self._dry_run and fate in {Fate.CREATED, Fate.OVERWRITTEN} else ""
            self._say(f"{item['kind']} {self._namespace}/{item['metadata']['name']}: {would}{fate}{words}")
            fates.append(fate)
        return fates

    async def _settled(self, item: Manifest) -> tuple[Fate, str]:
        restore = self._reports if kind_of(item) is CONFIG_MAP else self._resource
        try:
            return await restore(item), ""
        except NotFoundError as error:
            message = (
                f"Namespace {self._namespace}, or the kind {item['kind']}, is not there: {error}. Create the"
                f" namespace (kubectl create namespace {self._namespace}), and install the operator's CRDs."
            )
            raise RefusedByClusterError(message) from error
        except RefusedError as error:
            return Fate.REFUSED, f": {error}"

    async def _resource(self, item: Manifest) -> Fate:
        kind = kind_of(item)
        live = await self._live(item)
        if live is None:
            if not self._dry_run:
                await self._api.make(self._placed(item), manager=MANAGER)
            return Fate.CREATED
        if "deletionTimestamp" in live["metadata"]:
            return Fate.LEAVING
        if plain(kind, live) == item:
            return Fate.UNCHANGED
        if not self._overwrite:
            return Fate.LEFT_ALONE
        if not self._dry_run:
            # Replaced, not applied: a field that the backup doesn't have is not to stay.
            metadata = {
                **live["metadata"],
                **{key: item["metadata"].get(key, {}) for key in ("labels", "annotations")},
            }
            await self._api.replace(
                kind, {**live, "metadata": metadata, "spec": item["spec"]}, seconds=TIMEOUT_SECONDS
            )
        return Fate.OVERWRITTEN

    async def _reports(self, item: Manifest) -> Fate:
        """The results of an exam, whose ConfigMap the operator may have made meanwhile, empty."""
        found = await self._api.get(EXAM, namespace=self._namespace, name=item["exam"])
        live = await self._live(item)
        if found is None:
            return Fate.CREATED if self._dry_run else Fate.WITHOUT_EXAM
        exam = MCQExam.without_spec(found)
        if live is not None and not (owned(live, exam) or orphaned(live, exam)):
            return Fate.FOREIGN
        there = _content(live or {})
        if there == _content(item):
            return Fate.UNCHANGED
        if there and not self._overwrite:
            return Fate.LEFT_ALONE
        if not self._dry_run:
            made = results_map(MCQExam.model_validate(found), item["metadata"]["name"])
            made["metadata"]["annotations"] |= item["metadata"]["annotations"]
            content = {field: item[field] for field in ("data", "binaryData")}
            await self._api.apply({**made, **content}, force=True, manager=MANAGER)
        return Fate.OVERWRITTEN if there else Fate.CREATED

    async def _live(self, item: Manifest) -> Manifest | None:
        name = item["metadata"]["name"]
        return await self._api.get(kind_of(item), namespace=self._namespace, name=name)

    def _placed(self, item: Manifest) -> Manifest:
        return {**item, "metadata": {**item["metadata"], "namespace": self._namespace}}


def _content(results: Manifest) -> dict[str, Any]:
    """The whole sittings that are in it."""
    held = {**results.get("data", {}), **results.get("binaryData", {})}
    return {key: held[key] for key in reports(held)}
