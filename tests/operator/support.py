"""Objects as the API server returns them, an HTTP server, and other helpers that need no API server."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from mcq_operator.api import Key, Manifest, MCQExam, MCQSolver, names
from mcq_operator.api.kinds import WATCHED
from mcq_operator.api.observed import Deployment
from mcq_operator.client import CachedClient, Cluster, UnavailableError
from mcq_operator.client.errors import NotFoundError
from mcq_operator.controllers import Outcome, Result
from mcq_operator.desired import Installation, ServiceImages
from mcq_operator.store import Listing, observe

NOON = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
IMAGES = ServiceImages("mcq-service:golden", "mcq-service-torch:golden")
INSTALLATION = Installation(images=IMAGES, operator_image="mcq-operator:golden")


def solver(
    spec: dict[str, Any] | None = None, *, status: dict[str, Any] | None = None, **metadata: Any
) -> MCQSolver:
    """Return an MCQSolver named `demo` in namespace `team`."""
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


def exam(
    spec: dict[str, Any] | None = None, *, status: dict[str, Any] | None = None, **metadata: Any
) -> MCQExam:
    """Return an MCQExam named `aqua` of the solver `demo` in namespace `team`."""
    questions = {"configMapRef": {"name": "questions"}}
    return MCQExam.model_validate(
        {
            "metadata": {"name": "aqua", "namespace": "team", "uid": "e", "generation": 1, **metadata},
            "spec": {"solverRef": {"name": "demo"}, "questions": questions, **(spec or {})},
            "status": status or {},
        }
    )


def is_first_status_due(result: Result) -> bool:
    """Return whether the reconcile created a new solver's objects, and left its status to the next one."""
    return result.outcome is Outcome.NOT_READY and result.status is None


def deployment(**changes: Any) -> Deployment:
    """Return a Deployment with three current, available replicas, and with these changes."""
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
    """Return a Pod of the solver with these fields in its status."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": name, "labels": {"pod-template-hash": revision}},
        "status": {"conditions": conditions, **status},
    }


def write_kubeconfig(path: Path, server: str) -> None:
    """Write a kubeconfig with the token `secret` for a server."""
    config = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {"token": "secret"}}],
    }
    path.write_text(yaml.safe_dump(config))


def run_operator(
    *arguments: str, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m mcq_operator` with these changes to the environment; return its exit status and output."""
    return subprocess.run(
        [sys.executable, "-m", "mcq_operator", *arguments],
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


async def eventually(check: Callable[[], bool]) -> None:
    """Wait until `check` returns true."""
    async with asyncio.timeout(20):
        while not check():
            await asyncio.sleep(0.001)


async def no_load_progress(_: str) -> str:
    """Answer for a replica that reports no progress."""
    return ""


async def no_key_count(_: str) -> None:
    """Answer for a replica that reports no API keys."""


@asynccontextmanager
async def serving(
    path: str,
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[str]:
    """Run an HTTP server with one path and yield its URL."""
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
    """Feed the client's store with a list of each kind; return the owners of changed objects.

    Kinds that can't be listed are left out.
    """
    changed: set[Key] = set()
    for kind in WATCHED:
        if kind in cluster.absent:
            client.forget(kind)
        else:
            selector = names.watch_selector(kind)
            query = {"labelSelector": selector} if selector else {}
            # Other tests delete CRDs of optional kinds.
            with contextlib.suppress(UnavailableError, NotFoundError):
                listing = await client._transport.send("get", kind.path(namespace), query=query, seconds=30)
                observed = [observe(kind, item) for item in listing["items"]]
                version = int(listing["metadata"]["resourceVersion"])
                objects = {each.name: each for each in observed}
                changed |= client.observe_list(
                    Listing(kind=kind, namespace=namespace, objects=objects, version=version)
                )
    return changed
