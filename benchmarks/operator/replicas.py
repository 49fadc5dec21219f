"""Stands in for the nodes: makes Pods report ready, and answers the operator's test question."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from benchmarks.operator.client import MERGE, Client, at_once
from benchmarks.servers import free_port
from mcq_operator.api.kinds import SOLVER
from mcq_operator.api.names import MANAGED_SELECTOR

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SINCE = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
READY = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", **SINCE}]}}


@asynccontextmanager
async def answering() -> AsyncIterator[str]:
    """Yield the address of a server that answers every test question with yes."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app, port = web.Application(), free_port()
    app.add_routes([web.get("/answerz", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def until_created(client: Client, replicas: int, *, seconds: float) -> None:
    """Wait until every solver's status has its replicas. Later work by other controllers is not the operator's."""
    await _until_all(client, lambda status: bool(status.get("replicas") == replicas), seconds)


async def until_ready(client: Client, *, seconds: float) -> None:
    """Make every Pod ready, and wait until every solver reports Ready."""
    pods = (await client.send("GET", f"/api/v1/pods?labelSelector={MANAGED_SELECTOR}"))["items"]
    names = [(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods]
    body = json.dumps(READY).encode()
    await at_once(
        partial(client.send, "PATCH", f"/api/v1/namespaces/{namespace}/pods/{name}/status", body, MERGE)
        for namespace, name in names
    )
    await _until_all(client, _ready, seconds)


async def _until_all(client: Client, condition: Callable[[dict[str, Any]], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while True:
            items = (await client.send("GET", SOLVER.path(None)))["items"]
            if all(condition(item.get("status", {})) for item in items):
                return
            await asyncio.sleep(5)


def _ready(status: dict[str, Any]) -> bool:
    conditions = status.get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
