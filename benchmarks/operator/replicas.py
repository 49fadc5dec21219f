"""Stands in for the nodes and the Ingress controller, and answers the operator's test question."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web
from hack.control_plane.instance import free_ports

from benchmarks.operator.client import MERGE, Client, at_once
from mcq_operator.api.kinds import INGRESS, POD, SOLVER
from mcq_operator.api.names import MANAGED_SELECTOR

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SINCE = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", **SINCE}]}
PUBLISHED = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}


@asynccontextmanager
async def answering() -> AsyncIterator[str]:
    """Yield the address of a server that answers every test question with yes."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    [port] = free_ports(1)
    app = web.Application()
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
    """Make every Pod ready, give every Ingress an address, and wait until every solver reports Ready."""
    for kind, status in ((POD, READY), (INGRESS, PUBLISHED)):
        listed = await client.send("GET", f"{kind.path(None)}?labelSelector={MANAGED_SELECTOR}")
        names = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in listed["items"]]
        body = json.dumps({"status": status}).encode()
        await at_once(
            partial(client.send, "PATCH", f"{kind.path(*name)}/status", body, MERGE) for name in names
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
