"""The cached client reads from the store: which requests reach the server, with a current and with a stale store."""

import copy
from asyncio import Event
from dataclasses import replace
from typing import Any

import pytest
from tests.operator.support import (
    IMAGES,
    INSTALLATION,
    NOON,
    is_first_status_due,
    list_all,
    no_key_count,
    no_load_progress,
    solver,
)

from mcq_operator import desired
from mcq_operator.api import Key, Manifest, SolverKey
from mcq_operator.api.kinds import CONFIG_MAP, SERVICE, SOLVER, kind_of
from mcq_operator.api.observed import CanaryVerdict
from mcq_operator.client import CachedClient, Cluster, ConflictError, cached_client
from mcq_operator.client.errors import NotFoundError
from mcq_operator.controllers import Result, reconcile
from mcq_operator.controllers.upgrades import Upgrades
from mcq_operator.probes.api_keys import APIKeyProber
from mcq_operator.probes.canary import CanaryProber
from mcq_operator.probes.load_progress import LoadProgressProber
from mcq_operator.probes.probers import Probers
from mcq_operator.probes.traffic import TrafficProber
from mcq_operator.store import Change, observe

KEY = SolverKey("team", "demo")
SOLVERS = "/apis/mcq-operator.dev/v1alpha1/namespaces/team/mcqsolvers/demo"
SERVICES = "/api/v1/namespaces/team/services/demo"
CONFLICT = "the object has been modified"


class Server:
    """A fake API server: objects by path, with versions, uids and preconditions."""

    def __init__(self) -> None:
        self.objects: dict[str, Manifest] = {}
        self.requests: list[tuple[str, str]] = []
        self.failing: dict[tuple[str, str], Exception] = {}
        self.hanging: set[tuple[str, str]] = set()
        self.released = Event()
        self.version = 10

    def put(self, path: str, manifest: Manifest) -> Manifest:
        """Store an object, as another client does."""
        self.version += 1
        stored = copy.deepcopy(manifest)
        uid = self.objects.get(path, {}).get("metadata", {}).get("uid", f"uid-{self.version}")
        created = {"uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z"}
        stored["metadata"] = {**created, **stored["metadata"], "resourceVersion": str(self.version)}
        self.objects[path] = stored
        return copy.deepcopy(stored)

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Manifest | None = None,
        query: dict[str, str] | None = None,
        **_: Any,
    ) -> Manifest:
        """Answer a request; see Transport. A creation is recorded by the new object's path."""
        if method == "post" and body is not None:
            path = f"{path}/{body['metadata']['name']}"
        self.requests.append((method, path))
        if (method, path) in self.hanging:
            await self.released.wait()
        if (method, path) in self.failing:
            raise self.failing[method, path]
        current = self.objects.get(path.removesuffix("/status"))
        if method == "delete" and current is not None:
            del self.objects[path]
            return current
        if method == "post" and body is not None:
            return self._create(path, body)
        if method == "patch" and body is not None:
            return self._apply(path, body, current)
        if query is not None:
            return self._list(path.rpartition("/")[2], labelled="labelSelector" in query)
        if current is not None:
            return copy.deepcopy(current)
        if path.startswith("/apis/mcq-operator.dev") and path.count("/") == 3:
            return {"resources": [{"name": "mcqsolvers"}]}
        raise NotFoundError(path)

    def _create(self, path: str, body: Manifest) -> Manifest:
        if path in self.objects:
            raise ConflictError(CONFLICT)
        return self.put(path, body)

    def _apply(self, path: str, body: Manifest, current: Manifest | None) -> Manifest:
        metadata = body["metadata"]
        live = current["metadata"] if current else {"uid": None, "resourceVersion": None}
        if "uid" in metadata and metadata["uid"] != live["uid"]:
            raise ConflictError(CONFLICT)
        if (
            current is not None
            and metadata.get("resourceVersion", live["resourceVersion"]) != live["resourceVersion"]
        ):
            raise ConflictError(CONFLICT)
        if path.endswith("/status"):
            return self.put(path.removesuffix("/status"), {**(current or {}), "status": body["status"]})
        return self.put(path, {**(current or {}), **body})

    def _list(self, plural: str, *, labelled: bool) -> Manifest:
        items = [
            copy.deepcopy(item)
            for path, item in self.objects.items()
            if f"/{plural}/" in path and (item["metadata"].get("labels") or not labelled)
        ]
        return {"items": items, "metadata": {"resourceVersion": str(self.version)}}


class Operator:
    """A reconcile with a store and a fake API server."""

    def __init__(self, server: Server | None = None) -> None:
        self.server = server or Server()
        self.client = CachedClient(object(), on_write=lambda *_: None)
        self.client._transport = self.server  # type: ignore[assignment]
        self.cluster = Cluster(self.client)
        self.images = IMAGES
        self.upgrades = Upgrades(release="golden", at_once=0, requeue=lambda _: None)
        if server is None:
            raw = solver().model_dump(by_alias=True, exclude_none=True)
            self.server.put(SOLVERS, {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver", **raw})

    async def relist(self) -> set[Key]:
        """List every kind, as an operator does at its start; return the owners of changed objects."""
        await self.cluster.discover()
        return await list_all(self.client, self.cluster, "team")

    async def reconcile(self) -> list[tuple[str, str]]:
        """Reconcile once and return the requests."""
        self.server.requests.clear()
        await self.result()
        return list(self.server.requests)

    async def result(self) -> Result:
        """Reconcile, and again if the first status is still due; return the result."""
        result = await self.once()
        return await self.once() if is_first_status_due(result) else result

    async def once(self) -> Result:
        """Reconcile once and return the result."""
        return await reconcile(
            KEY,
            cluster=self.cluster,
            probers=Probers(
                canary=CanaryProber(_answer_canary, clock=lambda: 0.0, requeue=lambda _: None),
                load_progress=LoadProgressProber(no_load_progress, clock=lambda: 0.0, requeue=lambda _: None),
                api_keys=APIKeyProber(no_key_count, requeue=lambda _: None),
                traffic=TrafficProber(no_key_count, requeue=lambda _: None),
            ),
            upgrades=self.upgrades,
            installation=replace(INSTALLATION, images=self.images),
            now=lambda: NOON,
        )

    def condition(self, kind: str) -> dict[str, Any]:
        """Return a condition of the solver."""
        conditions = self.server.objects[SOLVERS]["status"]["conditions"]
        return next(item for item in conditions if item["type"] == kind)


async def _answer_canary(_: SolverKey) -> CanaryVerdict:
    return CanaryVerdict(outcome="answered")


@pytest.fixture
async def operator() -> Operator:
    """An operator that has listed a cluster with one new solver."""
    operator = Operator()
    await operator.relist()
    return operator


async def test_a_new_solver_costs_one_write_for_each_object_and_its_status(operator: Operator) -> None:
    desired_objects = desired.objects(solver(), INSTALLATION, absent=operator.cluster.absent)
    requests = await operator.reconcile()
    methods = [method for method, _ in requests]
    assert (methods.count("post"), methods.count("patch")) == (len(desired_objects), 1)
    actual = [path for method, path in requests if method == "get" and path in operator.server.objects]
    assert actual == []


async def test_a_new_solvers_status_follows_its_objects(operator: Operator) -> None:
    """The objects of other new solvers come first; the Deployment's first event, or a second, brings the status."""
    result = await operator.once()
    assert result.requeue_after == 1
    assert result.status is None
    assert ("patch", f"{SOLVERS}/status") not in operator.server.requests
    result = await operator.once()
    assert result.status is not None
    assert operator.server.requests[-1] == ("patch", f"{SOLVERS}/status")


async def test_a_new_solver_with_a_problem_has_its_status_at_once(operator: Operator) -> None:
    path = "/api/v1/namespaces/team/services/demo"
    operator.server.put(
        path, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "demo", "namespace": "team"}}
    )
    result = await operator.once()
    assert result.status is not None
    assert operator.condition("Ready")["reason"] == "Conflict"


async def test_a_settled_solver_costs_no_request(operator: Operator) -> None:
    await operator.reconcile()
    assert await operator.reconcile() == []
    await operator.relist()
    assert await operator.reconcile() == []


async def test_a_changed_config_map_is_read_and_repaired(operator: Operator) -> None:
    """Its watch shows that it changed, but not its data."""
    await operator.reconcile()
    path = "/api/v1/namespaces/team/configmaps/demo-dashboards"
    changed = copy.deepcopy(operator.server.objects[path])
    changed["data"] = {"other": "text"}
    changed["metadata"].pop("resourceVersion")
    stored = operator.server.put(path, changed)
    del stored["data"]
    assert operator.client.observe(observe(CONFIG_MAP, stored)) is Change.DRIFT
    assert await operator.reconcile() == [("get", path), ("patch", path)]
    assert await operator.reconcile() == []


async def test_the_answers_of_an_exams_shard_are_not_read(operator: Operator) -> None:
    """Each shard writes up to 1 MiB, and each write is an event."""
    owner = {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQExam", "name": "demo", "uid": "u"}
    metadata = {
        "name": "demo-results-0",
        "namespace": "team",
        "resourceVersion": "5",
        "ownerReferences": [owner],
    }
    operator.client.observe(observe(CONFIG_MAP, {"metadata": metadata}))
    operator.server.requests.clear()
    live = await operator.client.get(CONFIG_MAP, namespace="team", name="demo-results-0")
    assert live is not None
    assert live["metadata"]["ownerReferences"] == [owner]
    assert operator.server.requests == []


async def test_a_config_map_without_cached_data_is_read_again(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_client, "BODIES_BYTES", 0)
    await operator.reconcile()
    requests = await operator.reconcile()
    assert requests
    assert {(method, "configmaps" in path) for method, path in requests} == {("get", True)}


async def test_a_restart_costs_no_write(operator: Operator) -> None:
    await operator.reconcile()
    restarted = Operator()
    restarted.server.objects = operator.server.objects
    restarted.server.version = operator.server.version
    await restarted.relist()
    assert {method for method, _ in await restarted.reconcile()} <= {"get"}


async def test_a_foreign_object_that_no_watch_shows_is_never_overwritten(operator: Operator) -> None:
    """The server refuses its creation once; then each reconcile reads it while it exists."""
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "demo", "namespace": "team"}}
    before = operator.server.put(SERVICES, foreign)
    for _ in range(3):
        requests = await operator.reconcile()
        assert operator.server.objects[SERVICES] == before
    assert [item for item in requests if item[1] == SERVICES] == [("get", SERVICES)]
    conditions = {each["type"]: each for each in operator.server.objects[SOLVERS]["status"]["conditions"]}
    assert conditions["Degraded"]["reason"] == "Conflict"
    del operator.server.objects[SERVICES]
    await operator.reconcile()
    assert operator.server.objects[SERVICES]["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo"


async def test_an_object_that_replaced_ours_without_an_event_is_not_overwritten(operator: Operator) -> None:
    """The store still has our object, which needs a repair; the server refuses the apply because of its uid."""
    await operator.reconcile()
    ours = copy.deepcopy(operator.server.objects[SERVICES])
    ours["metadata"]["resourceVersion"] = str(operator.server.version + 1)
    ours["spec"]["ports"] = []
    operator.client.observe(observe(SERVICE, ours))
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "demo", "namespace": "team", "uid": "x"},
    }
    before = operator.server.put(SERVICES, foreign)
    await operator.reconcile()
    assert operator.server.objects[SERVICES] == before
    assert operator.condition("Degraded")["reason"] == "Conflict"


async def test_an_object_that_lost_its_labels_is_repaired(operator: Operator) -> None:
    await operator.reconcile()
    live = operator.server.objects[SERVICES]
    unlabelled = operator.server.put(SERVICES, {**live, "metadata": {**live["metadata"], "labels": {}}})
    # The watch selects by the label, so it reports a deletion.
    assert operator.client.observe(observe(SERVICE, unlabelled, gone=True))
    await operator.reconcile()
    assert operator.server.objects[SERVICES]["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo"
    assert operator.server.objects[SERVICES]["metadata"]["uid"] == live["metadata"]["uid"]


async def test_a_deletion_without_an_event_is_repaired_after_the_next_list(operator: Operator) -> None:
    await operator.reconcile()
    del operator.server.objects[SERVICES]
    assert await operator.reconcile() == []
    await operator.relist()
    await operator.reconcile()
    assert SERVICES in operator.server.objects


async def test_a_status_is_not_written_to_another_solver_of_the_same_name(operator: Operator) -> None:
    """The store has the old solver: the server refuses its status, and the next reconcile reads the new solver."""
    await operator.reconcile()
    old = copy.deepcopy(operator.server.objects[SOLVERS])
    old["metadata"] |= {"generation": 9, "resourceVersion": str(operator.server.version + 1)}
    operator.client.observe(observe(SOLVER, old))
    fresh = {**old, "status": {}, "metadata": {**old["metadata"], "uid": "namesake"}}
    operator.server.version += 1
    operator.server.put(SOLVERS, fresh)
    with pytest.raises(ConflictError):
        await operator.reconcile()
    assert operator.server.objects[SOLVERS]["status"] == {}
    assert ("get", SOLVERS) in await operator.reconcile()


async def test_a_read_after_a_refused_write_asks_the_server(operator: Operator) -> None:
    await operator.reconcile()
    stored = operator.server.objects[SERVICES]
    kind = kind_of(stored)
    with pytest.raises(ConflictError):
        await operator.client.apply(
            {**stored, "metadata": {**stored["metadata"], "uid": "other"}}, force=True
        )
    assert operator.client.is_unknown(kind, namespace="team", name="demo")
    assert await operator.client.get(kind, namespace="team", name="demo") == stored


async def test_a_spec_change_during_a_status_write_requeues_the_solver(operator: Operator) -> None:
    """The answer to the write already has the new spec, with a newer version than the event of the change."""
    await operator.reconcile()
    live = operator.server.objects[SOLVERS]
    changed = {**live, "spec": {"replicas": 7}, "metadata": {**live["metadata"], "generation": 3}}
    event = observe(SOLVER, operator.server.put(SOLVERS, changed))
    status = {**operator.server.objects[SOLVERS], "status": {"url": "x"}}
    await operator.client.apply_status(status)
    assert operator.client.observe(event)


async def test_a_list_returns_the_owners_of_changed_objects(operator: Operator) -> None:
    await operator.reconcile()
    assert await operator.relist() == set()
    live = operator.server.objects[SERVICES]
    drifted = observe(SERVICE, operator.server.put(SERVICES, {**live, "spec": {"ports": []}}))
    assert await operator.relist() == {KEY}
    assert not operator.client.observe(drifted)
    del operator.server.objects[SERVICES]
    operator.server.version += 1
    assert await operator.relist() == {KEY}


async def test_nothing_is_created_for_a_deleted_solver_although_the_server_still_shows_it(
    operator: Operator,
) -> None:
    """Nor after a refused write, which makes the next reconcile read it again."""
    await operator.reconcile()
    stale = copy.deepcopy(operator.server.objects[SOLVERS])
    deleted = copy.deepcopy(stale)
    deleted["metadata"]["resourceVersion"] = str(operator.server.version + 1)
    assert operator.client.observe(observe(SOLVER, deleted, gone=True))
    operator.client.observe(observe(SERVICE, operator.server.objects.pop(SERVICES), gone=True))
    assert await operator.reconcile() == [("get", SOLVERS)]
    operator.server.objects[SOLVERS] = {**stale, "metadata": {**stale["metadata"], "uid": "other"}}
    with pytest.raises(ConflictError):
        await operator.client.apply_status({**stale, "status": {}})
    operator.server.objects[SOLVERS] = stale
    assert await operator.reconcile() == [("get", SOLVERS)]
    assert SERVICES not in operator.server.objects


async def test_a_new_solver_with_the_name_of_a_deleted_one_is_reconciled(operator: Operator) -> None:
    await operator.reconcile()
    deleted = observe(SOLVER, operator.server.objects.pop(SOLVERS), gone=True)
    assert operator.client.observe(deleted)
    raw = solver().model_dump(by_alias=True, exclude_none=True)
    operator.server.put(SOLVERS, {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver", **raw})
    del operator.server.objects[SERVICES]
    await operator.relist()
    await operator.reconcile()
    assert SERVICES in operator.server.objects
