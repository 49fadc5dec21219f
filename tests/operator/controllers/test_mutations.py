"""Change each leaf of a running solver's spec, and change it back: the objects follow, or a message refuses the value.

hack.reference has the valid values. The invalid ones come from the leaf's schema: beyond each bound, of another type,
empty, huge, null, and meaningless text. The API server, its controllers and the optional kinds' CRDs are real.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hack.reference.examples import EXAMPLES, OPERATOR_ONLY
from hack.reference.leaves import Leaf, leaves, merged, nested
from hack.reference.page import specs
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException
from tests.operator.conftest import Bench, Kubectl, connected
from tests.operator.controllers.test_optional import OPTIONAL, install, remove
from tests.operator.support import INSTALLATION

from mcq_operator import desired
from mcq_operator.api import GROUP, SOLVERS, VERSION, Manifest, MCQSolver, ObjectRef
from mcq_operator.api.kinds import ref_of
from mcq_operator.api.names import APPLIED_DIGEST
from mcq_operator.client.diff import covers

pytestmark = pytest.mark.xdist_group("optional kinds")

LEAVES = {leaf.path: leaf for leaf in leaves()}
NO_REPLICAS = {"replicas": 0}
"""The tests read only what the operator writes; Pods would only take time."""


@pytest.fixture(scope="module", autouse=True)
def optional_kinds(cluster_kubectl: Kubectl) -> Iterator[None]:
    """Install the CRDs of all optional kinds."""
    for _, resource, _, _ in OPTIONAL.values():
        install(cluster_kubectl, resource)
    yield
    for _, resource, _, _ in OPTIONAL.values():
        remove(cluster_kubectl, resource)


@dataclass
class Solver:
    """The solver under test. Each change replaces the whole spec, as `kubectl replace` does."""

    api: Any
    bench: Bench

    async def replace(self, spec: dict[str, Any]) -> str | None:
        """Store this spec; return the message of a refusal, or None."""
        try:
            await self._replace(spec)
        except ApiException as error:
            if error.status not in {400, 422}:
                raise
            return str(json.loads(error.body)["message"])
        return None

    async def _replace(self, spec: dict[str, Any]) -> None:
        arguments = (GROUP, VERSION, self.bench.namespace, SOLVERS)
        manifest = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "MCQSolver",
            "metadata": {"name": "demo"},
            "spec": {**NO_REPLICAS, **spec},
        }
        try:
            stored = await self.api.get_namespaced_custom_object(*arguments, "demo")
        except ApiException as error:
            if error.status != 404:
                raise
            await self.api.create_namespaced_custom_object(*arguments, manifest, field_validation="Strict")
        else:
            manifest["metadata"] = stored["metadata"]
            await self.api.replace_namespaced_custom_object(
                *arguments, "demo", manifest, field_validation="Strict"
            )

    async def state(self) -> "State":
        """Reconcile until nothing is written; return the desired and the live objects."""
        for _ in range(20):
            if not await self.bench.reconcile():
                break
        else:
            message = f"still writing: {self.bench.writes}"
            raise AssertionError(message)
        solver = await self.bench.cluster.solver(self.bench.key)
        assert solver is not None
        children = await self.bench.cluster.children(solver, desired.possible(solver))
        scaled = any(ref.kind in {"HorizontalPodAutoscaler", "ScaledObject"} for ref in children.live)
        desired_objects = objects(solver)
        return State(
            desired_objects={
                ref: comparable(manifest, scaled=scaled) for ref, manifest in desired_objects.items()
            },
            live={
                ref: comparable(live, scaled=scaled)
                for ref, live in children.live.items()
                if "deletionTimestamp" not in live["metadata"]
            },
            not_applied={
                ref
                for ref, manifest in desired_objects.items()
                if not covers(children.live.get(ref), manifest)
            },
            apply_error=next(
                (item.message for item in solver.status.conditions if item.reason == "ApplyRefused"), ""
            ),
        )

    async def set_spec(self, spec: dict[str, Any]) -> "State":
        """Store a valid spec and return the state; if the claim can't change, delete it first."""
        refusal = await self.replace(spec)
        if refusal is not None:
            assert "claim" in refusal, refusal
            assert await self.replace(merged(spec, {"storage": {"cache": {"type": "EmptyDir"}}})) is None
            await self.state()
            assert await self.replace(spec) is None
        return await self.state()


@dataclass(frozen=True, kw_only=True)
class State:
    """A solver's objects, without the fields that only the server sets.

    Attributes:
        desired_objects: the objects of the solver's spec.
        live: the objects in the cluster.
        not_applied: the desired objects that differ from the live ones.
        apply_error: the message of the solver's status about an object that the API server refused.

    """

    desired_objects: Mapping[ObjectRef, Manifest]
    live: Mapping[ObjectRef, Manifest]
    not_applied: set[ObjectRef]
    apply_error: str


def changed_refs(before: Mapping[ObjectRef, Manifest], after: Mapping[ObjectRef, Manifest]) -> set[ObjectRef]:
    """Return the objects that were added, removed or changed."""
    return {ref for ref in {**before, **after} if before.get(ref) != after.get(ref)}


def objects(solver: MCQSolver) -> dict[ObjectRef, Manifest]:
    """Return the desired objects of a solver."""
    manifests = desired.objects(solver, INSTALLATION)
    return {ref_of(item): item for item in manifests}


@pytest.fixture
async def target(kubectl: Kubectl, bench: Bench) -> AsyncIterator[Solver]:
    """The solver under test, in the test's namespace."""
    await bench.cluster.discover()
    async with connected(kubectl.kubeconfig) as api_client:
        yield Solver(client.CustomObjectsApi(api_client), bench)


def test_each_leaf_has_an_example() -> None:
    assert set(EXAMPLES) == set(LEAVES)
    assert set(OPERATOR_ONLY) < set(LEAVES)


@pytest.mark.parametrize("path", EXAMPLES)
def test_each_value_of_a_leaf_gives_different_objects(path: str) -> None:
    base = specs(path, None)[0]
    variants = []
    for spec in (base, *(specs(path, value)[1] for value in EXAMPLES[path].values)):
        metadata = {"name": "demo", "namespace": "team", "uid": "u"}
        solver = MCQSolver.model_validate({"metadata": metadata, "spec": spec})
        variants.append(
            {ref: comparable(manifest, scaled=False) for ref, manifest in objects(solver).items()}
        )
    for one, other in itertools.combinations(variants, 2):
        assert (one == other) == (path in OPERATOR_ONLY)


@pytest.mark.parametrize("path", EXAMPLES)
async def test_a_changed_leaf_changes_its_objects_and_the_old_value_restores_them(
    target: Solver, path: str
) -> None:
    base, spec = specs(path, EXAMPLES[path].values[0])
    before = await target.set_spec(base)
    after = await target.set_spec(spec)
    desired_objects = changed_refs(before.desired_objects, after.desired_objects)
    assert bool(desired_objects) == (path not in OPERATOR_ONLY)
    assert changed_refs(before.live, after.live) == desired_objects - after.not_applied
    # The test cluster provides no volumes, so no claim can grow.
    assert {ref.kind for ref in after.not_applied} <= {"PersistentVolumeClaim"}
    assert bool(after.not_applied) == bool(after.apply_error)
    assert (await target.set_spec(base)).live == before.live


async def test_the_api_server_accepts_every_valid_value(kubectl: Kubectl) -> None:
    cases = [(path, value) for path, example in EXAMPLES.items() for value in example.values]
    refusals = await dry_run(kubectl, [specs(path, value)[1] for path, value in cases])
    refused = [(*case, refusal) for case, refusal in zip(cases, refusals, strict=True) if refusal is not None]
    assert refused == []


async def test_a_wrong_value_is_refused_by_the_api_server_and_the_message_names_the_field(
    kubectl: Kubectl,
) -> None:
    """A value of another type than the schema's is always refused."""
    cases = [(path, value) for path, leaf in LEAVES.items() for value in invalid_values(leaf)]
    bases = [specs(path, EXAMPLES[path].values[0])[1] for path, _ in cases]
    refusals = await dry_run(
        kubectl, [merged(base, nested(*case)) for base, case in zip(bases, cases, strict=True)]
    )
    unnamed = [
        (path, value, refused)
        for (path, value), refused in zip(cases, refusals, strict=True)
        if refused is not None and path.rpartition(".")[2].removesuffix("[]") not in refused
    ]
    assert unnamed == []
    accepted = [
        (path, value)
        for (path, value), refused in zip(cases, refusals, strict=True)
        if refused is None and has_wrong_type(LEAVES[path].schema, value)
    ]
    assert accepted == []


async def dry_run(kubectl: Kubectl, solver_specs: Sequence[dict[str, Any]]) -> list[str | None]:
    """Dry-run the creation of a solver for each spec, in parallel; return each refusal's message, or None."""
    limit = asyncio.Semaphore(16)

    async def refusal(api: Any, spec: dict[str, Any]) -> str | None:
        manifest = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "MCQSolver",
            "metadata": {"name": "demo"},
            "spec": {**NO_REPLICAS, **spec},
        }
        arguments = (GROUP, VERSION, kubectl.namespace, SOLVERS, manifest)
        async with limit:
            try:
                await api.create_namespaced_custom_object(
                    *arguments, dry_run="All", field_validation="Strict"
                )
            except ApiException as error:
                if error.status not in {400, 422}:
                    raise
                return str(json.loads(error.body)["message"])
        return None

    async with connected(kubectl.kubeconfig) as api_client:
        api = client.CustomObjectsApi(api_client)
        return await asyncio.gather(*(refusal(api, spec) for spec in solver_specs))


def has_wrong_type(schema: dict[str, Any], value: Any) -> bool:
    """Return whether the value's JSON type differs from the schema's; null stands for a missing field."""
    types = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    expected = types.get(schema.get("type", ""))
    if expected is None or value is None:
        return False
    return not isinstance(value, expected) or (expected is int and isinstance(value, bool))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES)
async def test_an_invalid_value_of_a_leaf_is_refused_applied_or_reported(target: Solver, path: str) -> None:
    """The operator applies a value that the schema accepts, or its status names the object that was refused.

    It neither raises nor changes any other object.
    """
    base = specs(path, EXAMPLES[path].values[0])[1]
    before = await target.set_spec(base)
    for value in invalid_values(LEAVES[path]):
        refusal = await target.replace(merged(base, nested(path, value)))
        if refusal is not None:
            # The message names the field.
            assert path.rpartition(".")[2].removesuffix("[]") in refusal, value
            continue
        after = await target.state()
        desired_objects = changed_refs(before.desired_objects, after.desired_objects)
        assert desired_objects or value is None or path in OPERATOR_ONLY, value
        assert changed_refs(before.live, after.live) == desired_objects - after.not_applied, value
        assert after.not_applied <= desired_objects, value
        assert bool(after.not_applied) == bool(after.apply_error), value
        if after.not_applied:
            assert any(f"{ref.kind} {ref.name}" in after.apply_error for ref in after.not_applied), value
        assert (await target.set_spec(base)).live == before.live


def invalid_values(leaf: Leaf) -> Iterator[Any]:
    """Yield values that the leaf's schema should refuse, and some that it can't recognise as invalid."""
    schema = leaf.schema
    yield None
    match schema.get("type"):
        case "string":
            yield from (
                7,
                True,
                ["x"],
                {"a": 1},
                "",
                " ",
                "ü☃\u202e",
                "a\nb",
                "x" * (schema.get("maxLength", 500) + 1),
            )
        case "integer" | "number":
            yield from ("x", "", [1], {"a": 1}, True, 10**19, -(10**19))
            yield from (
                schema[bound] + step for bound, step in (("minimum", -1), ("maximum", 1)) if bound in schema
            )
            yield from (
                schema[bound] for bound in ("minimum", "maximum") if schema.get(f"exclusive{bound.title()}")
            )
        case "boolean":
            yield from ("yes", 1, [], {})
        case "array":
            yield from ("x", 7, {"a": 1}, [["x"]], [None], [{}] * 65)
        case "object":
            yield from ("x", 7, ["x"])
            if "additionalProperties" in schema:
                yield from ({"ü ☃": "1"}, {"a": {"b": "c"}}, {"a": ["b"]})
        case _:
            yield from ([], {"a": 1}, True, "", "-1", "ü", "1" * 33)


def comparable(live: Manifest, *, scaled: bool) -> Manifest:
    """Return an object without its identity, its history and its controllers' or (if `scaled`) autoscalers' fields."""
    metadata = live["metadata"]
    annotations = {
        name: value
        for name, value in metadata.get("annotations", {}).items()
        if name != APPLIED_DIGEST and "kubernetes.io/" not in name
    }
    kept = {
        "labels": metadata.get("labels"),
        "owner": metadata["ownerReferences"],
        "annotations": annotations,
    }
    foreign_fields = {"clusterIP", "clusterIPs"} | ({"replicas"} if scaled else set())
    spec = {name: value for name, value in live.get("spec", {}).items() if name not in foreign_fields}
    return {
        **{key: value for key, value in live.items() if key not in {"metadata", "status", "spec"}},
        **kept,
        "spec": spec,
    }
