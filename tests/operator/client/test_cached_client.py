"""Reads from the store: which requests reach the server, and which never happen, however stale the store is."""

import copy
from asyncio import Event
from typing import Any

import pytest
from tests.operator.support import IMAGES, NOON, OPERATOR_IMAGE, is_first_status_due, list_all, solver

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
from mcq_operator.store import Change, observe

KEY = SolverKey("team", "demo")
SOLVERS = "/apis/mcq-operator.dev/v1alpha1/namespaces/team/mcqsolvers/demo"
SERVICES = "/api/v1/namespaces/team/services/demo"
CONFLICT = "the object has been modified"


class Server:
    """The part of an API server that matters here: objects by path, versions, uids and their preconditions."""

    def __init__(self) -> None:
        self.objects: dict[str, Manifest] = {}
        self.requests: list[tuple[str, str]] = []
        self.failing: dict[tuple[str, str], Exception] = {}
        self.hanging: set[tuple[str, str]] = set()
        self.released = Event()
        self.version = 10

    def put(self, path: str, manifest: Manifest) -> Manifest:
        """Store the object as another client would."""
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
        """See Transport."""
        self.requests.append((method, path))
        if (method, path) in self.hanging:
            await self.released.wait()
        if (method, path) in self.failing:
            raise self.failing[method, path]
        known = self.objects.get(path.removesuffix("/status"))
        if method == "delete" and known is not None:
            del self.objects[path]
            return known
        if method == "post" and body is not None:
            return self._create(f"{path}/{body['metadata']['name']}", body)
        if method == "patch" and body is not None:
            return self._apply(path, body, known)
        if query is not None:
            return self._list(path.rpartition("/")[2], labelled="labelSelector" in query)
        if known is not None:
            return copy.deepcopy(known)
        if path.startswith("/apis/mcq-operator.dev") and path.count("/") == 3:
            return {"resources": [{"name": "mcqsolvers"}]}
        raise NotFoundError(path)

    def _create(self, path: str, body: Manifest) -> Manifest:
        if path in self.objects:
            raise ConflictError(CONFLICT)
        return self.put(path, body)

    def _apply(self, path: str, body: Manifest, known: Manifest | None) -> Manifest:
        metadata = body["metadata"]
        live = known["metadata"] if known else {"uid": None, "resourceVersion": None}
        if "uid" in metadata and metadata["uid"] != live["uid"]:
            raise ConflictError(CONFLICT)
        if (
            known is not None
            and metadata.get("resourceVersion", live["resourceVersion"]) != live["resourceVersion"]
        ):
            raise ConflictError(CONFLICT)
        if path.endswith("/status"):
            return self.put(path.removesuffix("/status"), {**(known or {}), "status": body["status"]})
        return self.put(path, {**(known or {}), **body})

    def _list(self, plural: str, *, labelled: bool) -> Manifest:
        items = [
            copy.deepcopy(item)
            for path, item in self.objects.items()
            if f"/{plural}/" in path and (item["metadata"].get("labels") or not labelled)
        ]
        return {"items": items, "metadata": {"resourceVersion": str(self.version)}}


class Operator:
    """A reconcile with a memory, and the server beneath it."""

    def __init__(self, server: Server | None = None) -> None:
        self.server = server or Server()
        self.client = CachedClient(object(), on_write=lambda *_: None)
        self.client._transport = self.server  # type: ignore[assignment]
        self.cluster = Cluster(self.client)
        if server is None:
            raw = solver().model_dump(by_alias=True, exclude_none=True)
            self.server.put(SOLVERS, {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver", **raw})

    async def look(self) -> set[Key]:
        """List everything, as at the start; return the owners of changed objects."""
        await self.cluster.discover()
        return await list_all(self.client, self.cluster, "team")

    async def reconcile(self) -> list[tuple[str, str]]:
        """Reconcile once; returns the requests."""
        self.server.requests.clear()
        await self.result()
        return list(self.server.requests)

    async def result(self) -> Result:
        """Reconcile, and again if the first status is still due; returns how it ended."""
        result = await self.once()
        return await self.once() if is_first_status_due(result) else result

    async def once(self) -> Result:
        """Reconcile once; returns how it ended."""
        return await reconcile(
            KEY,
            cluster=self.cluster,
            canary=CanaryProber(_answered, clock=lambda: 0.0, requeue=lambda _: None),
            load_progress=LoadProgressProber(_unheard, clock=lambda: 0.0, requeue=lambda _: None),
            api_keys=APIKeyProber(_uncounted, requeue=lambda _: None),
            upgrades=Upgrades(release="golden", at_once=0, requeue=lambda _: None),
            images=IMAGES,
            operator_image=OPERATOR_IMAGE,
            now=lambda: NOON,
        )

    def condition(self, kind: str) -> dict[str, Any]:
        """What the solver's status says of it."""
        conditions = self.server.objects[SOLVERS]["status"]["conditions"]
        return next(item for item in conditions if item["type"] == kind)


async def _answered(_: SolverKey) -> CanaryVerdict:
    return CanaryVerdict(outcome="answered")


async def _unheard(_: str) -> str:
    return ""


async def _uncounted(_: str) -> None:
    return None


@pytest.fixture
async def operator() -> Operator:
    """One that has looked at a cluster with one new solver."""
    created = Operator()
    await created.look()
    return created


async def test_a_new_solver_costs_one_write_for_each_object_and_its_status(operator: Operator) -> None:
    desired_objects = desired.objects(
        solver(), images=IMAGES, operator_image=OPERATOR_IMAGE, absent=operator.cluster.absent
    )
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
    await operator.look()
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


async def test_the_answers_of_an_exams_share_are_not_read(operator: Operator) -> None:
    """Each share writes up to 1 MiB, and each write is an event."""
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
    await restarted.look()
    assert {method for method, _ in await restarted.reconcile()} <= {"get"}


async def test_a_foreign_object_that_no_watch_shows_is_never_overwritten(operator: Operator) -> None:
    """Its making is refused once; then it is looked at, as long as it is there."""
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
    """The memory still has our object, and wants it changed: the uid in the apply says which one is meant."""
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


async def test_an_object_without_its_labels_is_labelled_again(operator: Operator) -> None:
    await operator.reconcile()
    live = operator.server.objects[SERVICES]
    bare = operator.server.put(SERVICES, {**live, "metadata": {**live["metadata"], "labels": {}}})
    # The watch of the label tells of an end.
    assert operator.client.observe(observe(SERVICE, bare, gone=True))
    await operator.reconcile()
    assert operator.server.objects[SERVICES]["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo"
    assert operator.server.objects[SERVICES]["metadata"]["uid"] == live["metadata"]["uid"]


async def test_a_deletion_without_an_event_is_repaired_after_the_next_list(operator: Operator) -> None:
    await operator.reconcile()
    del operator.server.objects[SERVICES]
    assert await operator.reconcile() == []
    await operator.look()
    await operator.reconcile()
    assert SERVICES in operator.server.objects


async def test_a_status_is_not_written_to_a_namesake(operator: Operator) -> None:
    """The store has the old solver: the server refuses its status, and the next reconcile reads the new one."""
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


async def test_a_read_follows_a_write_with_a_lost_answer(operator: Operator) -> None:
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
    """The answer to the write has the new spec already, and a newer version than that change's event."""
    await operator.reconcile()
    live = operator.server.objects[SOLVERS]
    changed = {**live, "spec": {"replicas": 7}, "metadata": {**live["metadata"], "generation": 3}}
    event = observe(SOLVER, operator.server.put(SOLVERS, changed))
    status = {**operator.server.objects[SOLVERS], "status": {"url": "x"}}
    await operator.client.apply_status(status)
    assert operator.client.observe(event)


async def test_a_list_returns_the_owners_of_changed_objects(operator: Operator) -> None:
    await operator.reconcile()
    assert await operator.look() == set()
    live = operator.server.objects[SERVICES]
    drifted = observe(SERVICE, operator.server.put(SERVICES, {**live, "spec": {"ports": []}}))
    assert await operator.look() == {KEY}
    assert not operator.client.observe(drifted)
    del operator.server.objects[SERVICES]
    operator.server.version += 1
    assert await operator.look() == {KEY}


async def test_nothing_is_created_for_a_deleted_solver_though_the_server_still_shows_it(
    operator: Operator,
) -> None:
    """Not even after a write to it was refused, which has it asked for again."""
    await operator.reconcile()
    stale = copy.deepcopy(operator.server.objects[SOLVERS])
    end = copy.deepcopy(stale)
    end["metadata"]["resourceVersion"] = str(operator.server.version + 1)
    assert operator.client.observe(observe(SOLVER, end, gone=True))
    operator.client.observe(observe(SERVICE, operator.server.objects.pop(SERVICES), gone=True))
    assert await operator.reconcile() == [("get", SOLVERS)]
    operator.server.objects[SOLVERS] = {**stale, "metadata": {**stale["metadata"], "uid": "other"}}
    with pytest.raises(ConflictError):
        await operator.client.apply_status({**stale, "status": {}})
    operator.server.objects[SOLVERS] = stale
    assert await operator.reconcile() == [("get", SOLVERS)]
    assert SERVICES not in operator.server.objects


async def test_a_namesake_of_a_deleted_solver_is_served(operator: Operator) -> None:
    await operator.reconcile()
    end = observe(SOLVER, operator.server.objects.pop(SOLVERS), gone=True)
    assert operator.client.observe(end)
    raw = solver().model_dump(by_alias=True, exclude_none=True)
    operator.server.put(SOLVERS, {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver", **raw})
    del operator.server.objects[SERVICES]
    await operator.look()
    await operator.reconcile()
    assert SERVICES in operator.server.objects
