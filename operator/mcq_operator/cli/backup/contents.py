"""The content of a backup: resources as users wrote them, and exam reports; no status, no identity, no Secret."""

from collections.abc import AsyncIterator, Iterable

from pydantic import ValidationError

from mcq_operator.api import Manifest, MCQExam, names
from mcq_operator.api.kinds import CONFIG_MAP, EXAM, SOLVER, Kind
from mcq_operator.api.resource import KEYS
from mcq_operator.api.result import SUFFIX
from mcq_operator.client import Client
from mcq_operator.desired.exam import mark

REPORT = ".report."
ROWS = names.rows_key("")
LEFT_OUT = frozenset({names.PROMOTE_ANNOTATION, names.APPLIED_DIGEST, names.RESTORED_ANNOTATION})
"""The operator's own annotations. A restored approval must not let another change through a gate."""


async def namespace_contents(client: Client, namespace: str) -> AsyncIterator[Manifest]:
    """Yield each object of a namespace's backup: the solvers, then each exam with its results.

    Raises ClusterError.
    """
    for item in await client.list(SOLVER, namespace=namespace):
        if _is_user_made(item):
            yield as_written(SOLVER, item)
    for item in await client.list(EXAM, namespace=namespace):
        if _is_user_made(item):
            yield as_written(EXAM, item)
            for results in await _results(client, item):
                yield results


def as_written(kind: Kind, item: Manifest) -> Manifest:
    """Return a resource in the form that a user writes."""
    metadata = item["metadata"]
    annotations = metadata.get("annotations", {})
    fields = {
        "name": metadata["name"],
        "labels": metadata.get("labels", {}),
        "annotations": {key: value for key, value in annotations.items() if key not in LEFT_OUT},
    }
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {key: value for key, value in fields.items() if value},
        "spec": item.get("spec", {}),
    }


def whole_sitting_keys(data: Iterable[str]) -> set[str]:
    """Return the keys of whole sittings in an exam's results. Shares of an unfinished sitting are useless alone."""
    return {key for key in data if key.endswith((SUFFIX, ROWS)) or REPORT in key}


def _is_user_made(item: Manifest) -> bool:
    """Return whether a user created the resource and keeps it; the operator creates a gate's resources again."""
    owners = item["metadata"].get("ownerReferences", [])
    controlled = any(owner.get("controller") and owner["kind"] in KEYS for owner in owners)
    return not controlled and "deletionTimestamp" not in item["metadata"]


async def _results(client: Client, item: Manifest) -> list[Manifest]:
    """Return the exam's results, if a sitting has ended: figures and reports, and the questions of each shard."""
    try:
        exam = MCQExam.model_validate(item)
        marked = _mark(exam)
    except ValidationError:  # the exam's reconcile reports it
        exam, marked = MCQExam.without_spec(item), None
    name = names.results_name(exam)
    whole = await _results_map(client, exam, name, {names.RESTORED_ANNOTATION: marked} if marked else {})
    if whole is None or not whole["data"]:
        return []
    ended = {key.removesuffix(SUFFIX) for key in whole["data"]}
    result = [whole]
    for shard in range(exam.status.report.shards if exam.status.report else 0):
        shard_results = await _results_map(client, exam, names.shard_results_name(name, shard), {})
        if shard_results is not None:
            rows = {
                key: value
                for key, value in shard_results["binaryData"].items()
                if key.removesuffix(ROWS) in ended
            }
            result.append({**shard_results, "binaryData": rows})
    return result


async def _results_map(
    client: Client, exam: MCQExam, name: str, annotations: dict[str, str]
) -> Manifest | None:
    """Return a ConfigMap of the exam's results with only whole sittings; None if the exam does not own it."""
    live = await client.get(CONFIG_MAP, namespace=exam.namespace, name=name)
    owners = live["metadata"].get("ownerReferences", []) if live else []
    if live is None or not any(owner["uid"] == exam.metadata.uid for owner in owners):
        return None
    fields = {field: live.get(field, {}) for field in ("data", "binaryData")}
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {"name": name, "annotations": annotations},
        "exam": exam.name,
        **{field: {key: data[key] for key in whole_sitting_keys(data)} for field, data in fields.items()},
    }


def _mark(exam: MCQExam) -> str | None:
    """Return the mark by which the operator recognises the result after a restore, if the current replicas gave it."""
    status = exam.status
    current = status.is_true("Complete") and status.observed_generation == exam.metadata.generation
    if not current or status.report is None:
        return None
    return mark(exam, status.report.name, status.template_digest)
