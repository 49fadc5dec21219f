"""kopf's real watches at an API server that the test controls: missed events are detected."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from kopf._cogs.clients.errors import APIUnprocessableEntityError
from prometheus_client import CollectorRegistry

from mcq_operator.api import Key, Manifest, SolverKey
from mcq_operator.api.kinds import CONFIG_MAP, SERVICE, WATCHED, Kind
from mcq_operator.client import CachedClient, Cluster
from mcq_operator.informer import lists, watches
from mcq_operator.informer.staleness import WatchStaleness
from mcq_operator.informer.watches import Watches
from mcq_operator.manager import watchdog
from mcq_operator.manager.manager import _observe_event, _observe_list
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
    """An API server that knows Services; its lists have pages of one object, unless `page` is more."""

    def __init__(self) -> None:
        self.version = 10
        self.services: dict[str, Manifest] = {}
        self.lists = 0
        self.streams: list[web.StreamResponse] = []
        self.fails: int | None = None
        self.page = 1
        self.limits: list[int] = []
        self.accepted: list[tuple[bool, str]] = []

    def put(self, name: str) -> dict[str, Any]:
        """Store a Service, silently; returns the event that would tell of it."""
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

    def delete(self, name: str) -> None:
        """Delete a Service, silently."""
        self.version += 1
        del self.services[name]

    async def tell(self, event: dict[str, Any] | str) -> None:
        """Send an event, or whatever else, down each watch."""
        line = event if isinstance(event, str) else json.dumps(event)
        for stream in self.streams:
            await stream.write(line.encode() + b"\n")

    def expired(self) -> dict[str, Any]:
        """What makes kopf list again."""
        return {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api", self._versions),
            web.get("/api/v1", self._core),
            web.get("/apis", self._groups),
            web.get("/apis/apiextensions.k8s.io/v1", self._extensions),
            web.get(PATH, self._services),
            web.get(CONFIG_MAP.path(None), self._config_maps),
        ]

    async def _versions(self, _: web.Request) -> web.Response:
        return web.json_response({"versions": ["v1"]})

    async def _groups(self, _: web.Request) -> web.Response:
        version = {"version": "v1"}
        group = {"name": "apiextensions.k8s.io", "versions": [version], "preferredVersion": version}
        return web.json_response({"groups": [group]})

    async def _core(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"resources": [_resource("Service"), _resource("ConfigMap"), _resource("Namespace")]}
        )

    async def _extensions(self, _: web.Request) -> web.Response:
        return web.json_response({"resources": [_resource("CustomResourceDefinition")]})

    async def _services(self, request: web.Request) -> web.StreamResponse:
        if self.fails is not None:
            return web.json_response({"kind": "Status", "message": "no"}, status=self.fails)
        if "watch" in request.query:
            await self._watch(request)
        return self._list(request)

    async def _config_maps(self, request: web.Request) -> web.StreamResponse:
        watches = "watch" in request.query
        self.accepted.append((watches, request.headers["Accept"]))
        if watches:
            await self._watch(request)
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

    async def _watch(self, request: web.Request) -> None:
        stream = web.StreamResponse()
        await stream.prepare(request)
        self.streams.append(stream)
        try:
            await asyncio.Event().wait()
        finally:
            self.streams.remove(stream)


def _resource(kind: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": f"{kind.lower()}s",
        "singularName": kind.lower(),
        "namespaced": kind in ("Service", "ConfigMap"),
        "verbs": ["list", "watch", "patch"],
    }


class Operator:
    """An operator's store, fed by its watches, and the keys that they queue."""

    def __init__(self) -> None:
        self.readers: list[Key] = []
        self.client = CachedClient(None, on_write=lambda *_: None)
        self.queue: WorkQueue[Key] = WorkQueue(
            self._turn,
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
        """The Services that it knows."""
        return {name.name for name, entry in self.client._store._kinds.get(SERVICE, {}).items() if entry.body}

    def watches(self) -> Watches:
        return Watches(
            namespaces=(),
            on_event=lambda observed: _observe_event(self.client, self.queue, self.staleness, observed),
            on_list=lambda listing: _observe_list(
                self.client, self.queue, self.staleness, self.listed, listing
            ),
            ready=threading.Event(),
        )

    async def _turn(self, key: Key) -> None:
        self.readers.append(key)

    async def _versions(self, _: object) -> dict[tuple[str, str], int]:
        items = [each["metadata"] for each in self.server.services.values()]
        return {(each["namespace"], each["name"]): int(each["resourceVersion"]) for each in items}


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def working(
    operator: Operator, absent: frozenset[Kind] = OTHERS
) -> AsyncIterator["asyncio.Task[None]"]:
    watch = asyncio.create_task(operator.watches().run(absent=lambda: absent, changed=operator.changed))
    work = asyncio.create_task(operator.queue.run())
    try:
        yield watch
    finally:
        for task in watch, work:
            task.cancel()
        await asyncio.gather(watch, work, return_exceptions=True)


@pytest.fixture
async def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Operator]:
    """One that kopf's login finds its server by."""
    monkeypatch.setattr(watches, "FIRST_PAUSE_SECONDS", 0.01)
    created = Operator()
    app = web.Application()
    app.add_routes(created.server.routes())
    # Which ends a handler when its client has gone, as the end of a watch is no request of its own.
    async with TestServer(app, handler_cancellation=True) as server:
        config = {
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": str(server.make_url("/")).rstrip("/")}}],
            "users": [{"name": "test", "user": {"token": "secret"}}],
        }
        path = tmp_path / "kubeconfig"
        await asyncio.to_thread(path.write_text, yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield created


@pytest.fixture
async def watched(operator: Operator) -> AsyncIterator[Operator]:
    """One that watches, and knows two Services, of which one will be deleted unseen."""
    operator.server.put("kept")
    operator.server.put("demo")
    async with working(operator):
        await until(lambda: operator.names() == {"kept", "demo"} and bool(operator.server.streams))
        await until(lambda: sorted(operator.readers) == [DEMO, KEPT])
        operator.readers.clear()
        yield operator


async def test_a_list_shows_a_deletion_that_a_relist_missed(watched: Operator) -> None:
    """No event tells of it: neither late, nor ever."""
    watched.server.delete("demo")
    await watched.server.tell(watched.server.expired())
    await until(lambda: watched.names() == {"kept"})
    await until(lambda: watched.readers == [DEMO])
    await watched.staleness.verify([SERVICE])
    assert watched.staleness.age(SERVICE) == 0


async def test_a_too_long_page_is_repeated_with_fewer_objects(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that large objects of others take no more memory than small ones."""
    monkeypatch.setattr(lists, "LONGEST_PAGE", 1500)
    operator.server.page = 8
    names = {f"service-{number}" for number in range(8)}
    for name in names:
        operator.server.put(name)
    async with working(operator):
        await until(lambda: operator.names() == names)
    assert operator.server.limits[0] == 8
    assert min(operator.server.limits) < 8


async def test_the_data_of_config_maps_are_neither_listed_nor_watched(operator: Operator) -> None:
    async with working(operator, absent=frozenset(WATCHED) - {CONFIG_MAP}):
        await until(lambda: len(operator.server.accepted) == 2)
        assert operator.client.listed(CONFIG_MAP, None)
    what = "application/json;as={};g=meta.k8s.io;v=v1"
    assert operator.server.accepted == [
        (False, what.format("PartialObjectMetadataList")),
        (True, what.format("PartialObjectMetadata")),
    ]


async def test_a_relist_without_a_difference_requeues_nothing(watched: Operator) -> None:
    lists = watched.server.lists
    await watched.server.tell(watched.server.expired())
    await until(lambda: watched.server.lists == lists + 1 and bool(watched.server.streams))
    # Which the watch tells after all that the list told.
    await watched.server.tell(watched.server.put("new"))
    await until(lambda: "new" in watched.names())
    await until(lambda: watched.readers == [NEW])
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
    await watched.server.tell(line)
    await until(lambda: watched.names() == {"kept", "other"})
    await until(lambda: DEMO in watched.readers)
    # And it goes on.
    await until(lambda: bool(watched.server.streams))
    await watched.server.tell(watched.server.put("new"))
    await until(lambda: "new" in watched.names())


@pytest.mark.parametrize("missed", ["deletion", "change"])
async def test_an_event_that_never_comes_restarts_the_watches(
    watched: Operator, missed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a proxy has lost it; the process goes on, and the metric tells of it."""
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
        await until(lambda: watched.server.lists == lists + 1)
        await until(lambda: watched.readers == [DEMO])
        assert watched.names() == ({"kept"} if missed == "deletion" else {"kept", "demo"})
        await until(lambda: watched.staleness.age(SERVICE) == 0)
    finally:
        task.cancel()
    labels = {"kind": "Service"}
    assert metrics.registry.get_sample_value("mcq_operator_watch_age_seconds", labels) == 0


async def test_repeated_failures_of_the_watches_end_the_process(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.server.fails = 422
    monkeypatch.setattr(watches, "MAX_FAILURES", 1)
    async with working(operator) as watch:
        with pytest.raises(APIUnprocessableEntityError, match="no"):
            await asyncio.wait_for(watch, 60)
