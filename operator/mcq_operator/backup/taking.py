"""What goes into a backup: what people wrote, and what exams found; no status, no identity, and no Secret."""

from collections.abc import AsyncIterator, Iterable

from pydantic import ValidationError

from mcq_operator.desired.exam import mark
from mcq_operator.kube import Api
from mcq_operator.models import Manifest, MCQExam, names
from mcq_operator.models.kinds import CONFIG_MAP, EXAM, SOLVER, Kind
from mcq_operator.models.resource import KEYS
from mcq_operator.models.result import SUFFIX

REPORT = ".report."
ROWS = names.rows_key("")
LEFT_OUT = frozenset({names.PROMOTE_ANNOTATION, names.APPLIED_DIGEST, names.RESTORED_ANNOTATION})
"""Annotations of this operator: one that let a change through its gate must let no other one through, later."""


async def contents(api: Api, namespace: str) -> AsyncIterator[Manifest]:
    """Each object of the namespace that belongs into a backup: solvers, then each exam and its results.

    Raises ClusterError.
    """
    for item in await api.list(SOLVER, namespace=namespace):
        if _lasting(item):
            yield plain(SOLVER, item)
    for item in await api.list(EXAM, namespace=namespace):
        if _lasting(item):
            yield plain(EXAM, item)
            for results in await _results(api, item):
                yield results


def plain(kind: Kind, item: Manifest) -> Manifest:
    """A resource as its user would write it."""
    metadata = item["metadata"]
    annotations = metadata.get("annotations", {})
    kept = {
        "name": metadata["name"],
        "labels": metadata.get("labels", {}),
        "annotations": {key: value for key, value in annotations.items() if key not in LEFT_OUT},
    }
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {key: value for key, value in kept.items() if value},
        "spec": item.get("spec", {}),
    }


def reports(data: Iterable[str]) -> set[str]:
    """Those keys of an exam's results that are of a whole sitting: shares of one that runs are worth nothing alone."""
    return {key for key in data if key.endswith((SUFFIX, ROWS)) or REPORT in key}


def _lasting(item: Manifest) -> bool:
    """Whether a person made it: what was made for a gate is made anew."""
    owners = item["metadata"].get("ownerReferences", [])
    made = any(owner.get("controller") and owner["kind"] in KEYS for owner in owners)
    return not made and "deletionTimestamp" not in item["metadata"]


async def _results(api: Api, item: Manifest) -> list[Manifest]:
    """What the exam's sittings found, if one has ended: the figures and reports, and the questions of each shard."""
    try:
        exam = MCQExam.model_validate(item)
        marked = _mark(exam)
    except ValidationError:  # its own reconcile tells of it
        exam, marked = MCQExam.without_spec(item), None
    name = names.results_name(exam)
    whole = await _kept(api, exam, name, {names.RESTORED_ANNOTATION: marked} if marked else {})
    if whole is None or not whole["data"]:
        return []
    ended = {key.removesuffix(SUFFIX) for key in whole["data"]}
    found = [whole]
    for shard in range(exam.status.report.shards if exam.status.report else 0):
        if (kept := await _kept(api, exam, names.shard_results_name(name, shard), {})) is not None:
            rows = {key: held for key, held in kept["binaryData"].items() if key.removesuffix(ROWS) in ended}
            found.append({**kept, "binaryData": rows})
    return found


async def _kept(api: Api, exam: MCQExam, name: str, annotations: dict[str, str]) -> Manifest | None:
    """A ConfigMap of the exam's results, with what is of whole sittings."""
    found = await api.get(CONFIG_MAP, namespace=exam.namespace, name=name)
    owners = found["metadata"].get("ownerReferences", []) if found else []
    if found is None or not any(owner["uid"] == exam.metadata.uid for owner in owners):
        return None
    fields = {field: found.get(field, {}) for field in ("data", "binaryData")}
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {"name": name, "annotations": annotations},
        "exam": exam.name,
        **{field: {key: held[key] for key in reports(held)} for field, held in fields.items()},
    }


def _mark(exam: MCQExam) -> str | None:
    """What tells the operator, after a restore, of whom the last result is, if it is of the present replicas."""
    status = exam.status
    current = status.is_true("Complete") and status.observed_generation == exam.metadata.generation
    if not current or status.report is None:
        return None
    return mark(exam, status.report.name, status.template_digest)
