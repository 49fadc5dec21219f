"""docs/mcqsolver.md, docs/mcqexam.md and docs/mcqpolicy.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hack.reference.examples import EXAMPLES, OPERATOR_ONLY, TOGETHER
from hack.reference.leaves import Leaf, leaves, merged, nested, shown
from mcq_operator import desired
from mcq_operator.api import Manifest, MCQSolver, ObjectRef
from mcq_operator.api.crd import EXAM_DEFINITION, POLICY_DEFINITION, Definition
from mcq_operator.api.kinds import ref_of
from mcq_operator.api.names import APPLIED_DIGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = """\
# MCQSolver

This page lists every field of an MCQSolver's `spec`: its meaning, and what it changes. `hack/generate` writes it from
`operator/mcq_operator/api` and `hack/reference`.

The API server refuses an invalid value, with a message that says what to write instead. The solver's conditions report
problems that only the cluster can know, such as a missing StorageClass. `python -m mcq_operator check FILE` prints the
objects for a file, without a cluster.

The last column names the objects and fields that change when the field gets an example value; a name may come from
that example.

| field | values (default) | meaning | changes |
|---|---|---|---|
"""


EXAM_HEADER = """\
# MCQExam

This page lists every field of an MCQExam's `spec`. `hack/generate` writes it from `operator/mcq_operator/api`.
[Exams](exams.md) says how to run one, and [Exam results](exam-results.md) what its figures mean. The API server
refuses an invalid value, with a message that says what to write instead.

| field | values (default) | meaning |
|---|---|---|
"""


POLICY_HEADER = """\
# MCQPolicy

This page lists every field of an MCQPolicy's `spec`. `hack/generate` writes it from `operator/mcq_operator/api`.
[Tenants](tenants.md) says what a policy is for, and how the API server enforces it.

| field | values (default) | meaning |
|---|---|---|
"""


def page() -> str:
    """Return docs/mcqsolver.md."""
    return HEADER + "".join(_row(leaf) for leaf in leaves())


def exam_page() -> str:
    """Return docs/mcqexam.md."""
    return EXAM_HEADER + _rows(EXAM_DEFINITION)


def policy_page() -> str:
    """Return docs/mcqpolicy.md."""
    return POLICY_HEADER + _rows(POLICY_DEFINITION)


def specs(leaf: str, value: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a spec in which the leaf has an effect, without and with its value."""
    base = EXAMPLES[leaf].base
    return base, merged(merged(base, TOGETHER.get(leaf, {})), nested(leaf, value))


def changes(leaf: str) -> list[str]:
    """Describe the objects, and their fields, that the leaf changes."""
    before, after = (_objects(spec) for spec in specs(leaf, EXAMPLES[leaf].values[0]))
    texts = [f"creates the {each.kind}" for each in after if each not in before]
    texts += [f"removes the {each.kind}" for each in before if each not in after]
    for common in (each for each in after if each in before):
        fields = sorted(set(_differences(before[common], after[common], ())))
        if fields:
            shown = ", ".join(f"`{field}`" for field in fields[:3]) + (" and more" if len(fields) > 3 else "")
            texts.append(f"{common.kind}: {shown}")
    return texts


def _rows(definition: Definition) -> str:
    return "".join(f"| {_field(leaf)} | {_meaning(leaf)} |\n" for leaf in leaves(definition))


def _row(leaf: Leaf) -> str:
    changed = "; ".join(changes(leaf.path)) or OPERATOR_ONLY[leaf.path]
    return f"| {_field(leaf)} | {_meaning(leaf)} | {changed} |\n"


def _field(leaf: Leaf) -> str:
    default = f" (`{shown(leaf.schema['default'])}`)" if "default" in leaf.schema else ""
    return f"`{leaf.path}` | {leaf.type}{default}"


def _meaning(leaf: Leaf) -> str:
    # "The Secret's name." alone does not say what the Secret is for.
    purpose = f"{leaf.parent} " if leaf.path.endswith("Ref.name") else ""
    return f"{purpose}{leaf.schema.get('description', '')}".replace("|", "\\|")


def _objects(spec: dict[str, Any]) -> dict[ObjectRef, Manifest]:
    metadata = {"name": "demo", "namespace": "team", "uid": "u"}
    solver = MCQSolver.model_validate({"metadata": metadata, "spec": spec})
    images = desired.ServiceImages("mcq-service", "mcq-service-torch")
    installation = desired.Installation(images=images, operator_image="mcq-operator")
    objects = desired.objects(solver, installation)
    by_reference = {ref_of(item): item for item in objects}
    for item in by_reference.values():
        del item["metadata"]["annotations"][APPLIED_DIGEST]
    return by_reference


def _differences(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from _differences(before.get(key), after.get(key), (*path, key))
    elif path[-1] == "env":
        old, new = ({item["name"]: item for item in each or []} for each in (before, after))
        yield from (name for name in {**old, **new} if old.get(name) != new.get(name))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            yield from _differences(one, other, path)
    else:
        yield path[-1]
