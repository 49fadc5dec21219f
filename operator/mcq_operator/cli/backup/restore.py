"""Restores a backup's objects in a namespace. It changes existing objects only with --overwrite.

A restore is idempotent: it leaves alone the objects that an earlier run created.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from mcq_operator.api import Manifest, MCQExam
from mcq_operator.api.kinds import CONFIG_MAP, EXAM, kind_of
from mcq_operator.client import Client, RefusedError
from mcq_operator.client.client import TIMEOUT_SECONDS
from mcq_operator.client.errors import NotFoundError
from mcq_operator.desired.exam import results_map
from mcq_operator.store.ownership import orphaned, owned

from .contents import as_written, whole_sitting_keys
from .errors import PersonNeededError

MANAGER = "mcq-operator-restore"


class RestoreOutcome(StrEnum):
    """The outcome of restoring an object."""

    CREATED = "created"
    UNCHANGED = "unchanged: it equals the backup"
    OVERWRITTEN = "overwritten"
    LEFT_ALONE = "not restored: it differs from the backup; --overwrite restores it"
    BEING_DELETED = "not restored: it is being deleted; restore again when it is gone"
    FOREIGN = "not restored: the existing object does not belong to this exam"
    WITHOUT_EXAM = "not restored: its exam does not exist"
    REFUSED = "refused"


INCOMPLETE = frozenset(
    {
        RestoreOutcome.LEFT_ALONE,
        RestoreOutcome.BEING_DELETED,
        RestoreOutcome.FOREIGN,
        RestoreOutcome.WITHOUT_EXAM,
        RestoreOutcome.REFUSED,
    }
)
"""Outcomes after which the namespace differs from the backup."""


class Restore:
    """One run of a restore."""

    def __init__(
        self, client: Client, *, namespace: str, overwrite: bool, dry_run: bool, report: Callable[[str], None]
    ) -> None:
        """Restore into `namespace`.

        Args:
            client: the cluster's API.
            namespace: the target; it may differ from the namespace in the backup.
            overwrite: whether to replace existing objects that differ from the backup.
            dry_run: whether to write nothing.
            report: called with a line for each object.

        """
        self._client = client
        self._namespace = namespace
        self._overwrite = overwrite
        self._dry_run = dry_run
        self._report = report

    async def run(self, objects: Iterable[Manifest]) -> list[RestoreOutcome]:
        """Restore the objects in this order; continue after a refused one. Raises ClusterError, BackupError."""
        outcomes = []
        for item in objects:
            outcome, detail = await self._restore(item)
            prefix = (
                "would be "
                if self._dry_run and outcome in {RestoreOutcome.CREATED, RestoreOutcome.OVERWRITTEN}
                else ""
            )
            self._report(
                f"{item['kind']} {self._namespace}/{item['metadata']['name']}: {prefix}{outcome}{detail}"
            )
            outcomes.append(outcome)
        return outcomes

    async def _restore(self, item: Manifest) -> tuple[RestoreOutcome, str]:
        restore = self._reports if kind_of(item) is CONFIG_MAP else self._resource
        try:
            return await restore(item), ""
        except NotFoundError as error:
            message = (
                f"Namespace {self._namespace} or the kind {item['kind']} does not exist: {error}. Create the namespace"
                f" (kubectl create namespace {self._namespace}), and install the operator's CRDs."
            )
            raise PersonNeededError(message) from error
        except RefusedError as error:
            return RestoreOutcome.REFUSED, f": {error}"

    async def _resource(self, item: Manifest) -> RestoreOutcome:
        kind = kind_of(item)
        live = await self._live(item)
        if live is None:
            if not self._dry_run:
                await self._client.create(kind, self._with_namespace(item), manager=MANAGER)
            return RestoreOutcome.CREATED
        if "deletionTimestamp" in live["metadata"]:
            return RestoreOutcome.BEING_DELETED
        if as_written(kind, live) == item:
            return RestoreOutcome.UNCHANGED
        if not self._overwrite:
            return RestoreOutcome.LEFT_ALONE
        if not self._dry_run:
            # Replace, not apply, to remove fields that the backup lacks.
            metadata = {
                **live["metadata"],
                **{key: item["metadata"].get(key, {}) for key in ("labels", "annotations")},
            }
            await self._client.replace(
                kind, {**live, "metadata": metadata, "spec": item["spec"]}, seconds=TIMEOUT_SECONDS
            )
        return RestoreOutcome.OVERWRITTEN

    async def _reports(self, item: Manifest) -> RestoreOutcome:
        """Restore a ConfigMap of an exam's results; the operator may have created it already, without content."""
        live_exam = await self._client.get(EXAM, namespace=self._namespace, name=item["exam"])
        live = await self._live(item)
        if live_exam is None:
            return RestoreOutcome.CREATED if self._dry_run else RestoreOutcome.WITHOUT_EXAM
        exam = MCQExam.without_spec(live_exam)
        if live is not None and not (owned(live, exam) or orphaned(live, exam)):
            return RestoreOutcome.FOREIGN
        live_content = _content(live or {})
        if live_content == _content(item):
            return RestoreOutcome.UNCHANGED
        if live_content and not self._overwrite:
            return RestoreOutcome.LEFT_ALONE
        if not self._dry_run:
            desired = results_map(MCQExam.model_validate(live_exam), item["metadata"]["name"])
            desired["metadata"]["annotations"] |= item["metadata"]["annotations"]
            content = {field: item[field] for field in ("data", "binaryData")}
            await self._client.apply({**desired, **content}, force=True, manager=MANAGER)
        return RestoreOutcome.OVERWRITTEN if live_content else RestoreOutcome.CREATED

    async def _live(self, item: Manifest) -> Manifest | None:
        name = item["metadata"]["name"]
        return await self._client.get(kind_of(item), namespace=self._namespace, name=name)

    def _with_namespace(self, item: Manifest) -> Manifest:
        return {**item, "metadata": {**item["metadata"], "namespace": self._namespace}}


def _content(results: Manifest) -> dict[str, Any]:
    """Return the keys of whole sittings with their values."""
    data = {**results.get("data", {}), **results.get("binaryData", {})}
    return {key: data[key] for key in whole_sitting_keys(data)}
