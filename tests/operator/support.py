"""Objects for tests, as the API server would return them, and an HTTP server."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from mcq_operator.api import Key, Manifest, MCQSolver, names
from mcq_operator.api.kinds import WATCHED
from mcq_operator.api.observed import Deployment
from mcq_operator.client import CachedClient, Cluster, UnavailableError
from mcq_operator.client.errors import NotFoundError
from mcq_operator.controllers import Outcome, Result
from mcq_operator.desired import ServiceImages
from mcq_operator.store import Listing, observe

NOON = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
IMAGES = ServiceImages("mcq-service:golden", "mcq-service-torch:golden")
OPERATOR_IMAGE = "mcq-operator:golden"


def solver(
    spec: dict[str, Any] | None = None, *, status: dict[str, Any] | None = None, **metadata: Any
) -> MCQSolver:
    """An MCQSolver named `demo` in namespace `team`."""
    return MCQSolver.model_validate(
        {
            "metadata": {
                "name": "demo",
                "namespace": "team",
                "uid": "5f2c0a0e-0000-4000-8000-000000000000",
                "generation": 2,
                **metadata,
            },
            "spec": spec or {},
            "status": status or {},
        }
    )


def is_first_status_due(result: Result) -> bool:
    """Return whether the reconcile created a new solver's objects, and left its status to the next one."""
    return result.outcome is Outcome.NOT_READY and result.status is None


def deployment(**changes: Any) -> Deployment:
    """Return a Deployment with three current, available replicas, and the changes."""
    numbers: dict[str, Any] = {
        "uid": "d",
        "generation": 4,
        "observed_generation": 4,
        "desired": 3,
        "replicas": 3,
        "updated": 3,
        "ready": 3,
        "available": 3,
    }
    return Deployment(**{**numbers, **changes})


def pod(name: str = "demo-1", *, ready: bool = False, revision: str = "a", **status: Any) -> Manifest:
    """A Pod of the solver, with whatever `status` says."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": name, "labels": {"pod-template-hash": revision}},
        "status": {"conditions": conditions, **status},
    }


@asynccontextmanager
async def serving(
    path: str,
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[str]:
    """An HTTP server with one path; yields its URL."""
    app = web.Application()
    app.router.add_route("*", path, handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0]
        yield f"http://{bound[0]}:{bound[1]}"
    finally:
        await runner.cleanup()


async def list_all(client: CachedClient, cluster: Cluster, namespace: str) -> set[Key]:
    """Take in the lists that the watches begin with; returns the owners of objects that differ from what was known.

    A kind that can't be listed is left out.
    """
    changed: set[Key] = set()
    for kind in WATCHED:
        if kind in cluster.absent:
            client.forget(kind)
        else:
            selector = names.watch_selector(kind)
            query = {"labelSelector": selector} if selector else {}
            # Other tests remove CRDs of optional kinds.
            with contextlib.suppress(UnavailableError, NotFoundError):
                listing = await client._transport.send("get", kind.path(namespace), query=query, seconds=30)
                observed = [observe(kind, item) for item in listing["items"]]
                version = int(listing["metadata"]["resourceVersion"])
                objects = {each.name: each for each in observed}
                changed |= client.observe_list(
                    Listing(kind=kind, namespace=namespace, objects=objects, version=version)
                )
    return changed
