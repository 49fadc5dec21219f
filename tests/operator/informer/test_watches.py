"""kopf's real watches with a fake API server: missed events are detected."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kopf._cogs.clients.errors import APIUnprocessableEntityError
from prometheus_client import CollectorRegistry
from tests.operator.support import eventually, write_kubeconfig

from mcq_operator.api import Key, Manifest, SolverKey
from mcq_operator.api.kinds import CONFIG_MAP, SERVICE, SOLVER, WATCHED, Kind
from mcq_operator.client import CachedClient, Cluster
from mcq_operator.informer import lists, watches
from mcq_operator.informer.staleness import WatchStaleness
from mcq_operator.informer.watches import Watches
from mcq_operator.manager import watchdog
from mcq_operator.manager.manager import _observe_events, _observe_list
from mcq_operator.manager.metrics import Metrics
from mcq_operator.manager.watchdog import verify_watches
from mcq_operator.manager.workqueue import WorkQueue

DEMO, KEPT, NEW = (SolverKey("team", name) for name in ("demo", "kept", "new"))
OTHERS = frozenset(WATCHED) - {SERVICE}
PATH = SERVICE.path(None)
OWNER = {
    "apiVersion": "mcq-operator.dev/v1alpha1",
    "kind": "MCQSolver",
    "uid": "uid",
    "controller": True,
}


class Server:
    """A fake API server with Services and solvers; each page of a list of Services has `page` objects."""

    def __init__(self) -> None:
        self.version = 10
        self.services: dict[str, Manifest] = {}
        self.solvers: dict[str, str] = {}
        self.solver_streams: list[web.StreamResponse] = []
        self.lists = 0
        self.refusals = 0
        self.streams: list[web.StreamResponse] = []
        self.watched_from: list[int] = []
        self.disconnects = asyncio.Event()
        self.error_status: int | None = None
        self.page = 1
        self.limits: list[int] = []
        self.accept_headers: list[tuple[bool, str]] = []

    def put(self, name: str) -> dict[str, Any]:
        """Store a Service without sending its event; return the event."""
        self.version += 1
        metadata = {
            "namespace": "team",
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": str(self.version),
            "ownerReferences": [{**OWNER, "name": name}],
        }
        self.services[name] = {"metadata": metadata, "spec": {"changed": self.version}}
        return {"type": "MODIFIED", "object": self.services[name]}

    def put_solver(self, name: str, affinity: str = "{}") -> str:
        """Store a solver without sending its event; return the event. The text `affinity` may be deep."""
        self.version += 1
        metadata = {"namespace": "team", "name": name, "uid": name, "resourceVersion": str(self.version)}
        self.solvers[name] = (
            f'{{"metadata":{json.dumps(metadata)},"spec":{{"scheduling":{{"affinity":{affinity}}}}}}}'
        )
        return f'{{"type":"MODIFIED","object":{self.solvers[name]}}}'

    def delete(self, name: str) -> None:
        """Delete a Service without sending an event."""
        self.version += 1
        del self.services[name]

    async def send_event(self, event: dict[str, Any] | str) -> None:
        """Send an event, or any line of text, to each watch."""
        line = event if isinstance(event, str) else json.dumps(event)
        for stream in self.streams:
            await stream.write(line.encode() + b"\n")

    def expired_event(self) -> dict[str, Any]:
        """Return the event that makes kopf list again."""
        return {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api", self._versions),
            web.get("/api/v1", self._core),
            web.get("/apis", self._groups),
            web.get("/apis/apiextensions.k8s.io/v1", self._extensions),
            web.get(f"/apis/{SOLVER.api_version}", self._own_kinds),
            web.get(SOLVER.path(None), self._solvers),
            web.get(PATH, self._services),
            web.get(SERVICE.path("team"), self._services),
            web.get(SERVICE.path("gone"), self._refuse),
            web.get(CONFIG_MAP.path(None), self._config_maps),
        ]

    async def _versions(self, _: web.Request) -> web.Response:
        return web.json_response({"versions": ["v1"]})

    async def _groups(self, _: web.Request) -> web.Response:
        version = {"version": "v1"}
        group = {"name": "apiextensions.k8s.io", "versions": [version], "preferredVersion": version}
        own = {"version": SOLVER.version}
        own_group = {"name": SOLVER.group, "versions": [own], "preferredVersion": own}
        return web.json_response({"groups": [group, own_group]})

    async def _core(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"resources": [_resource("Service"), _resource("ConfigMap"), _resource("Namespace")]}
        )

    async def _extensions(self, _: web.Request) -> web.Response:
        return web.json_response({"resources": [_resource("CustomResourceDefinition")]})

    async def _own_kinds(self, _: web.Request) -> web.Response:
        return web.json_response({"resources": [_resource("MCQSolver")]})

    async def _solvers(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request, self.solver_streams)
        page = f'{{"metadata":{{"resourceVersion":"{self.version}"}},"items":[{",".join(self.solvers.values())}]}}'
        return web.Response(text=page, content_type="application/json")

    async def _services(self, request: web.Request) -> web.StreamResponse:
        if self.error_status is not None:
            return web.json_response({"kind": "Status", "message": "no"}, status=self.error_status)
        if "watch" in request.query:
            return await self._watch(request)
        return self._list(request)

    async def _refuse(self, _: web.Request) -> web.Response:
        self.refusals += 1
        return web.json_response({"kind": "Status", "message": "forbidden"}, status=403)

    async def _config_maps(self, request: web.Request) -> web.StreamResponse:
        watches = "watch" in request.query
        self.accept_headers.append((watches, request.headers["Accept"]))
        if watches:
            return await self._watch(request)
        return web.json_response({"metadata": {"resourceVersion": "5"}, "items": None})

    def _list(self, request: web.Request) -> web.Response:
        items = [self.services[name] for name in sorted(self.services)]
        start = int(request.query.get("continue", 0))
        limited = "limit" in request.query
        limit = min(self.page, int(request.query["limit"])) if limited else len(items)
        self.limits.append(limit)
        page = items[start : start + limit]
        more = str(start + limit) if start + limit < len(items) else ""
        self.lists += not more
        metadata = {"resourceVersion": str(self.version), "continue": more}
        return web.json_response({"metadata": metadata, "items": page})

    async def _watch(
        self, request: web.Request, streams: list[web.StreamResponse] | None = None
    ) -> web.StreamResponse:
        streams = self.streams if streams is None else streams
        stream = web.StreamResponse()
        await stream.prepare(request)
        streams.append(stream)
        self.watched_from.append(int(request.query["resourceVersion"]))
        try:
            await self.disconnects.wait()
        finally:
            streams.remove(stream)
        return stream


def _resource(kind: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": f"{kind.lower()}s",
        "singularName": kind.lower(),
        "namespaced": kind in ("Service", "ConfigMap", "MCQSolver"),
        "verbs": ["list", "watch", "patch"],
    }


class Operator:
    """An operator's store, its watches, and the keys that the watches queue."""

    def __init__(self) -> None:
        self.reconciled: list[Key] = []
        self.client = CachedClient(None, on_write=lambda *_: None)
        self.queue: WorkQueue[Key] = WorkQueue(
            self._reconcile,
            workers=1,
            call_later=asyncio.get_running_loop().call_later,
            random=lambda: 0.0,
            clock=time.monotonic,
        )
        self.staleness = WatchStaleness(self._versions, clock=time.monotonic)
        self.server = Server()
        self.changed = asyncio.Event()
        self.listed = asyncio.Event()

    def names(self) -> set[str]:
        """Return the names of the Services in the store."""
        return {name.name for name, entry in self.client._store._kinds.get(SERVICE, {}).items() if entry.body}

    def watches(self, namespaces: Collection[str] = ()) -> Watches:
        return Watches(
            namespaces=namespaces,
            on_events=lambda observed: _observe_events(self.client, self.queue, self.staleness, observed),
            on_list=lambda listing: _observe_list(
                self.client, self.queue, self.staleness, self.listed, listing
            ),
            ready=threading.Event(),
        )

    async def _reconcile(self, key: Key) -> None:
        self.reconciled.append(key)

    async def _versions(self, _: object) -> dict[tuple[str, str], int]:
        items = [each["metadata"] for each in self.server.services.values()]
        return {(each["namespace"], each["name"]): int(each["resourceVersion"]) for each in items}


@asynccontextmanager
async def running(
    operator: Operator, absent: frozenset[Kind] = OTHERS, namespaces: Collection[str] = ()
) -> AsyncIterator["asyncio.Task[None]"]:
    watches = operator.watches(namespaces)
    watch = asyncio.create_task(watches.run(absent=lambda: absent, restart=operator.changed))
    work = asyncio.create_task(operator.queue.run())
    try:
        yield watch
    finally:
        for task in watch, work:
            task.cancel()
        await asyncio.gather(watch, work, return_exceptions=True)


@pytest.fixture
async def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Operator]:
    """An operator and its fake API server, which kopf's login finds by a kubeconfig."""
    monkeypatch.setattr(watches, "FIRST_PAUSE_SECONDS", 0.01)
    operator = Operator()
    app = web.Application()
    app.add_routes(operator.server.routes())
    # Cancel a handler when its client has gone: a client ends a watch without another request.
    async with TestServer(app, handler_cancellation=True) as server:
        path = tmp_path / "kubeconfig"
        await asyncio.to_thread(write_kubeconfig, path, str(server.make_url("/")).rstrip("/"))
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield operator


@pytest.fixture
async def watched(operator: Operator) -> AsyncIterator[Operator]:
    """An operator that watches and has listed the Services kept and demo."""
    operator.server.put("kept")
    operator.server.put("demo")
    async with running(operator):
        await eventually(lambda: operator.names() == {"kept", "demo"} and bool(operator.server.streams))
        await eventually(lambda: sorted(operator.reconciled) == [DEMO, KEPT])
        operator.reconciled.clear()
        yield operator


async def test_a_list_shows_a_deletion_that_a_relist_missed(watched: Operator) -> None:
    """No event ever reports the deletion."""
    watched.server.delete("demo")
    await watched.server.send_event(watched.server.expired_event())
    await eventually(lambda: watched.names() == {"kept"})
    await eventually(lambda: watched.reconciled == [DEMO])
    await watched.staleness.verify([SERVICE])
    assert watched.staleness.age(SERVICE) == 0


async def test_a_watch_that_ends_resumes_after_its_last_event(watched: Operator) -> None:
    lists = watched.server.lists
    await watched.server.send_event(watched.server.put("demo"))
    await eventually(lambda: watched.reconciled == [DEMO])
    watched.server.disconnects.set()
    await eventually(lambda: len(watched.server.watched_from) > 1)
    assert watched.server.watched_from[-1] == watched.server.version
    assert watched.server.lists == lists


async def test_a_page_that_is_too_long_is_repeated_with_fewer_objects(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large foreign objects must not take more memory than small ones."""
    monkeypatch.setattr(lists, "LONGEST_PAGE", 1500)
    operator.server.page = 8
    names = {f"service-{number}" for number in range(8)}
    for name in names:
        operator.server.put(name)
    async with running(operator):
        await eventually(lambda: operator.names() == names)
    assert operator.server.limits[0] == 8
    assert min(operator.server.limits) < 8


async def test_the_data_of_config_maps_is_neither_listed_nor_watched(operator: Operator) -> None:
    async with running(operator, absent=frozenset(WATCHED) - {CONFIG_MAP}):
        await eventually(lambda: len(operator.server.accept_headers) == 2)
        assert operator.client.listed(CONFIG_MAP, None)
    media_type = "application/json;as={};g=meta.k8s.io;v=v1"
    assert operator.server.accept_headers == [
        (False, media_type.format("PartialObjectMetadataList")),
        (True, media_type.format("PartialObjectMetadata")),
    ]


@pytest.mark.parametrize("levels", [200, 2_000, 9_000])
async def test_a_deep_object_stops_no_other_one(operator: Operator, levels: int) -> None:
    """kopf ends at a solver that it can't decode; a Service has deep values in its managedFields alone."""
    deep = '{"a":' * levels + "1" + "}" * levels
    server = operator.server
    server.put_solver("listed")
    server.put_solver("deep", affinity=deep)
    async with running(operator, absent=OTHERS - {SOLVER}) as watch:
        await eventually(lambda: bool(server.solver_streams and server.streams))
        for line in server.put_solver("deep", affinity=deep), server.put_solver("new"):
            await server.solver_streams[0].write(line.encode() + b"\n")
        event = json.dumps(server.put("service"))
        await server.send_event(
            event.replace('"metadata": {', f'"metadata": {{"managedFields": [{deep}], ', 1)
        )
        await eventually(lambda: operator.names() == {"service"})
        solvers = {SolverKey("team", name) for name in ("listed", "deep", "new")}
        await eventually(lambda: solvers <= set(operator.reconciled))
        assert not watch.done()
        assert len(server.solver_streams) == len(server.streams) == 1
        stored = await operator.client.get(SOLVER, namespace="team", name="deep")
        assert stored is not None
        assert stored["spec"]["scheduling"]["affinity"]["a"]


async def test_a_namespace_that_the_operator_may_not_read_stops_no_other_one(operator: Operator) -> None:
    """Someone deleted it, and with it the operator's Role."""
    server = operator.server
    server.put("kept")
    async with running(operator, namespaces=("gone", "team")) as watch:
        await eventually(lambda: bool(server.streams) and server.refusals > 1)
        await server.send_event(server.put("new"))
        await eventually(lambda: operator.names() == {"kept", "new"})
        assert not watch.done()
        assert not operator.client.listed(SERVICE, "gone")


async def test_a_relist_without_a_difference_requeues_nothing(watched: Operator) -> None:
    lists = watched.server.lists
    await watched.server.send_event(watched.server.expired_event())
    await eventually(lambda: watched.server.lists == lists + 1 and bool(watched.server.streams))
    # The watch reports this object after everything in the list.
    await watched.server.send_event(watched.server.put("new"))
    await eventually(lambda: "new" in watched.names())
    await eventually(lambda: watched.reconciled == [NEW])
    assert watched.names() == {"kept", "demo", "new"}


@pytest.mark.parametrize(
    "line",
    [
        {"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcdserver: leader changed"}},
        {"type": "ERROR", "object": {}},
        "no JSON",
    ],
    ids=["an error event", "an error without a code", "no event"],
)
async def test_an_error_in_the_stream_restarts_the_watches_and_loses_nothing(
    watched: Operator, line: dict[str, Any] | str
) -> None:
    watched.server.delete("demo")
    watched.server.put("other")
    await watched.server.send_event(line)
    await eventually(lambda: watched.names() == {"kept", "other"})
    await eventually(lambda: DEMO in watched.reconciled)
    # The watches go on.
    await eventually(lambda: bool(watched.server.streams))
    await watched.server.send_event(watched.server.put("new"))
    await eventually(lambda: "new" in watched.names())


@pytest.mark.parametrize("missed", ["deletion", "change"])
async def test_an_event_that_never_comes_restarts_the_watches(
    watched: Operator, missed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy may have lost it. The process goes on, and the metric shows the new watch's age."""
    metrics = Metrics(CollectorRegistry())
    if missed == "deletion":
        watched.server.delete("demo")
    else:
        watched.server.put("demo")
    cluster = Cluster(watched.client)
    monkeypatch.setattr(watchdog, "WATCHED", [SERVICE])
    monkeypatch.setattr(watchdog, "RESTART_PAUSE_SECONDS", 3600)
    task = asyncio.create_task(
        verify_watches(cluster, watched.staleness, metrics, watched.changed.set, every=0.05, stale=0.2)
    )
    lists = watched.server.lists
    try:
        await eventually(lambda: watched.server.lists == lists + 1)
        await eventually(lambda: watched.reconciled == [DEMO])
        assert watched.names() == ({"kept"} if missed == "deletion" else {"kept", "demo"})
        await eventually(lambda: watched.staleness.age(SERVICE) == 0)
    finally:
        task.cancel()
    labels = {"kind": "Service"}
    assert metrics.registry.get_sample_value("mcq_operator_watch_age_seconds", labels) == 0


async def test_repeated_failures_of_the_watches_end_the_process(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.server.error_status = 422
    monkeypatch.setattr(watches, "MAX_FAILURES", 1)
    async with running(operator) as watch:
        with pytest.raises(APIUnprocessableEntityError, match="no"):
            await asyncio.wait_for(watch, 60)
