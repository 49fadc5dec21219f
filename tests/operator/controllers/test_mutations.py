"""Every leaf of the spec, changed on a running solver: reflected, or refused with a message; and back again.

Valid values are hack.reference's; invalid ones come from the leaf's schema: beyond each bound, of another type, empty,
huge, null, and text that no field means. The API server, its controllers and the optional kinds' CRDs are real.
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
from tests.operator.support import IMAGES, OPERATOR_IMAGE

from mcq_operator import desired
from mcq_operator.api import GROUP, SOLVERS, VERSION, Manifest, MCQSolver, ObjectRef
from mcq_operator.api.names import APPLIED_DIGEST
from mcq_operator.client.diff import covers

pytestmark = pytest.mark.xdist_group("optional kinds")

LEAVES = {leaf.path: leaf for leaf in leaves()}
STILL = {"replicas": 0}
"""No replicas: the test reads only what the operator writes, and Pods would only take time."""


@pytest.fixture(scope="module", autouse=True)
def everything_known(cluster_kubectl: Kubectl) -> Iterator[None]:
    """All optional kinds."""
    for _, resource, _, _ in OPTIONAL.values():
        install(cluster_kubectl, resource)
    yield
    for _, resource, _, _ in OPTIONAL.values():
        remove(cluster_kubectl, resource)


@dataclass
class Solver:
    """The solver under test. Its spec is replaced as a whole, as `kubectl replace` does."""

    api: Any
    bench: Bench

    async def replace(self, spec: dict[str, Any]) -> str | None:
        """Store this spec; returns why it is refused, if it is."""
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
            "spec": {**STILL, **spec},
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
        """Reconcile until nothing is written; return the live objects and the desired ones."""
        for _ in range(20):
            if not await self.bench.reconcile():
                break
        else:
            message = f"still writing: {self.bench.writes}"
            raise AssertionError(message)
        solver = await self.bench.cluster.solver(self.bench.key)
        assert solver is not None
        actual = await self.bench.cluster.children(solver, desired.possible(solver))
        scaled = any(ref.kind in {"HorizontalPodAutoscaler", "ScaledObject"} for ref in actual.live)
        desired_objects = objects(solver)
        return State(
            desired_objects={
                ref: comparable(manifest, scaled=scaled) for ref, manifest in desired_objects.items()
            },
            live={
                ref: comparable(live, scaled=scaled)
                for ref, live in actual.live.items()
                if "deletionTimestamp" not in live["metadata"]
            },
            unmet={
                ref for ref, manifest in desired_objects.items() if not covers(actual.live.get(ref), manifest)
            },
            complaint=next(
                (item.message for item in solver.status.conditions if item.reason == "ApplyRefused"), ""
            ),
        )

    async def go_to(self, spec: dict[str, Any]) -> "State":
        """Store a valid spec; where a claim can't become what it means, by the way that the refusal names."""
        refusal = await self.replace(spec)
        if refusal is not None:
            assert "claim" in refusal, refusal
            assert await self.replace(merged(spec, {"storage": {"cache": {"type": "EmptyDir"}}})) is None
            await self.state()
            assert await self.replace(spec) is None
        return await self.state()


@dataclass(frozen=True, kw_only=True)
class State:
    """A solver's objects, less what the server alone decides on.

    Attributes:
        desired_objects: as the solver's spec means them.
        live: as they are.
        unmet: those that are not as they are meant.
        complaint: what the solver's status says of an object that the API server refused.

    """

    desired_objects: Mapping[ObjectRef, Manifest]
    live: Mapping[ObjectRef, Manifest]
    unmet: set[ObjectRef]
    complaint: str


def different(before: Mapping[ObjectRef, Manifest], after: Mapping[ObjectRef, Manifest]) -> set[ObjectRef]:
    """Which objects came, went or changed."""
    return {ref for ref in {**before, **after} if before.get(ref) != after.get(ref)}


def objects(solver: MCQSolver) -> dict[ObjectRef, Manifest]:
    """What a solver means."""
    created = desired.objects(solver, images=IMAGES, operator_image=OPERATOR_IMAGE)
    return {desired.reference(item): item for item in created}


@pytest.fixture
async def changed(kubectl: Kubectl, bench: Bench) -> AsyncIterator[Solver]:
    """A solver in the test's namespace."""
    await bench.cluster.discover()
    async with connected(kubectl.kubeconfig) as api_client:
        yield Solver(client.CustomObjectsApi(api_client), bench)


def test_each_leaf_has_an_example_and_changes_an_object() -> None:
    """But for those that only the operator itself goes by."""
    assert set(EXAMPLES) == set(LEAVES)
    assert set(OPERATOR_ONLY) < set(LEAVES)


@pytest.mark.parametrize("path", EXAMPLES)
def test_each_value_of_a_leaf_means_objects_of_its_own(path: str) -> None:
    base = specs(path, None)[0]
    meanings = []
    for spec in (base, *(specs(path, value)[1] for value in EXAMPLES[path].values)):
        metadata = {"name": "demo", "namespace": "team", "uid": "u"}
        solver = MCQSolver.model_validate({"metadata": metadata, "spec": spec})
        meanings.append({ref: comparable(created, scaled=False) for ref, created in objects(solver).items()})
    for one, other in itertools.combinations(meanings, 2):
        assert (one == other) == (path in OPERATOR_ONLY)


@pytest.mark.parametrize("path", EXAMPLES)
async def test_a_changed_leaf_changes_its_objects_and_the_old_value_restores_them(
    changed: Solver, path: str
) -> None:
    base, spec = specs(path, EXAMPLES[path].values[0])
    before = await changed.go_to(base)
    after = await changed.go_to(spec)
    desired_objects = different(before.desired_objects, after.desired_objects)
    assert bool(desired_objects) == (path not in OPERATOR_ONLY)
    assert different(before.live, after.live) == desired_objects - after.unmet
    # Nothing here provides volumes, so that no claim can grow.
    assert {ref.kind for ref in after.unmet} <= {"PersistentVolumeClaim"}
    assert bool(after.unmet) == bool(after.complaint)
    assert (await changed.go_to(base)).live == before.live


async def test_the_api_server_accepts_every_valid_value(kubectl: Kubectl) -> None:
    cases = [(path, value) for path, example in EXAMPLES.items() for value in example.values]
    refusals = await dry_run(kubectl, [specs(path, value)[1] for path, value in cases])
    refused = [(*case, refusal) for case, refusal in zip(cases, refusals, strict=True) if refusal is not None]
    assert refused == []


async def test_a_wrong_value_is_refused_by_the_api_server_and_the_message_names_the_field(
    kubectl: Kubectl,
) -> None:
    """A value of another type than the schema's is always refused."""
    cases = [(path, value) for path, leaf in LEAVES.items() for value in wrong(leaf)]
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
    taken = [
        (path, value)
        for (path, value), refused in zip(cases, refusals, strict=True)
        if refused is None and of_another_type(LEAVES[path].schema, value)
    ]
    assert taken == []


async def dry_run(kubectl: Kubectl, stored: Sequence[dict[str, Any]]) -> list[str | None]:
    """Create a solver of each spec, side by side, none of which is kept; returns why each was refused, if it was."""
    limit = asyncio.Semaphore(16)

    async def refusal(api: Any, spec: dict[str, Any]) -> str | None:
        manifest = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "MCQSolver",
            "metadata": {"name": "demo"},
            "spec": {**STILL, **spec},
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
        return await asyncio.gather(*(refusal(api, spec) for spec in stored))


def of_another_type(schema: dict[str, Any], value: Any) -> bool:
    """Whether the value's JSON type is not the schema's; null means that the field is left out."""
    types = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    expected = types.get(schema.get("type", ""))
    if expected is None or value is None:
        return False
    return not isinstance(value, expected) or (expected is int and isinstance(value, bool))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES)
async def test_an_invalid_value_of_a_leaf_is_refused_with_a_message_or_reported(
    changed: Solver, path: str
) -> None:
    """A value that the schema takes is written as it stands, or the status names the object that refused it.

    The operator neither raises nor changes anything else meanwhile.
    """
    base = specs(path, EXAMPLES[path].values[0])[1]
    before = await changed.go_to(base)
    for value in wrong(LEAVES[path]):
        refusal = await changed.replace(merged(base, nested(path, value)))
        if refusal is not None:
            # The very field is named, or the rule that it breaks says what to do.
            assert path.rpartition(".")[2].removesuffix("[]") in refusal, value
            continue
        after = await changed.state()
        desired_objects = different(before.desired_objects, after.desired_objects)
        assert desired_objects or value is None or path in OPERATOR_ONLY, value
        assert different(before.live, after.live) == desired_objects - after.unmet, value
        assert after.unmet <= desired_objects, value
        assert bool(after.unmet) == bool(after.complaint), value
        if after.unmet:
            assert any(f"{ref.kind} {ref.name}" in after.complaint for ref in after.unmet), value
        assert (await changed.go_to(base)).live == before.live


def wrong(leaf: Leaf) -> Iterator[Any]:
    """Values that the leaf's schema should refuse, and some that it can't know to be wrong."""
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
    """An object less its identity, its history and what controllers and, if `scaled`, autoscalers say."""
    metadata = live["metadata"]
    annotations = {
        name: value
        for name, value in metadata.get("annotations", {}).items()
        if name != APPLIED_DIGEST and "kubernetes.io/" not in name
    }
    saved = {
        "labels": metadata.get("labels"),
        "owner": metadata["ownerReferences"],
        "annotations": annotations,
    }
    theirs = {"clusterIP", "clusterIPs"} | ({"replicas"} if scaled else set())
    spec = {name: value for name, value in live.get("spec", {}).items() if name not in theirs}
    return {
        **{key: value for key, value in live.items() if key not in {"metadata", "status", "spec"}},
        **saved,
        "spec": spec,
    }
