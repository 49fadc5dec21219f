"""Observes when each child appears and changes, through watches on a connection of their own."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from benchmarks.operator.client import Client
    from mcq_operator.api.kinds import Kind


WHOLE = "application/json"
"""The operator's own encoding: the server serialises these events once for all watchers."""
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""The smallest watch: metadata only. For an operator that watches in another encoding."""


class Child(NamedTuple):
    """An object by kind, namespace and name."""

    kind: str
    namespace: str
    name: str


class Observer:
    """When each child was first observed, on a monotonic clock, and its newest metadata."""

    def __init__(self) -> None:
        """Start empty."""
        self.first: dict[Child, float] = {}
        self.metadata: dict[Child, dict[str, Any]] = {}
        self._event = asyncio.Event()

    def observe(self, kind: str, event: dict[str, Any]) -> None:
        """Record a watch event."""
        metadata = event["object"]["metadata"]
        child = Child(kind, metadata.get("namespace", ""), metadata.get("name", ""))
        match event["type"]:
            case "ADDED" | "MODIFIED":
                self.first.setdefault(child, time.monotonic())
                self.metadata[child] = {
                    "uid": metadata["uid"],
                    "generation": metadata.get("generation", 0),
                    "labels": metadata.get("labels", {}),
                }
            case "DELETED":
                self.first.pop(child, None)
                self.metadata.pop(child, None)
        self._event.set()

    async def until(self, condition: Callable[[], bool], *, seconds: float) -> float:
        """Wait until `condition` holds, checked after each event; return the time. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._event.clear()
                await self._event.wait()
        return time.monotonic()


@asynccontextmanager
async def watching(
    client: Client, kinds: Iterable[Kind], selector: str, *, accept: str = WHOLE
) -> AsyncIterator[Observer]:
    """Yield an Observer that already watches the objects with these labels."""
    observer = Observer()
    async with asyncio.TaskGroup() as watches:
        tasks = [watches.create_task(_watch(client, kind, selector, observer, accept)) for kind in kinds]
        await asyncio.sleep(1)
        try:
            yield observer
        finally:
            for task in tasks:
                task.cancel()


async def _watch(client: Client, kind: Kind, selector: str, observer: Observer, accept: str) -> None:
    """Watch forever. The server ends the watch of a slow client; resume it at the last version."""
    parameters = {"watch": "1", "labelSelector": selector, "timeoutSeconds": "7200"}
    headers = {"Accept": accept}
    while True:
        async with client.session.get(kind.path(None), params=parameters, headers=headers) as response:
            response.raise_for_status()
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the watch of {kind.plural} has failed: {event['object']}")
                parameters["resourceVersion"] = event["object"]["metadata"]["resourceVersion"]
                observer.observe(kind.kind, event)
