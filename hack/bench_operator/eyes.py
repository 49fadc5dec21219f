"""Sees when each child appears and changes: watches of the children, by their own connection."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from hack.bench_operator.client import Client
    from mcq_operator.models.kinds import Kind


WHOLE = "application/json"
"""As our operator watches: the server writes those once for all who watch."""
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""The least that a watch can ask for, beside an operator that watches in another encoding."""


class Child(NamedTuple):
    """An object by its kind and names."""

    kind: str
    namespace: str
    name: str


class Eyes:
    """When each child was seen first, and its newest metadata, by a monotonic clock."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.first: dict[Child, float] = {}
        self.metadata: dict[Child, dict[str, Any]] = {}
        self._news = asyncio.Event()

    def saw(self, kind: str, event: dict[str, Any]) -> None:
        """Note an event of a watch."""
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
        self._news.set()

    async def until(self, true: Callable[[], bool], *, seconds: float) -> float:
        """When it is true, asked after each event. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not true():
                self._news.clear()
                await self._news.wait()
        return time.monotonic()


@asynccontextmanager
async def watching(
    client: Client, kinds: Iterable[Kind], selector: str, *, accept: str = WHOLE
) -> AsyncIterator[Eyes]:
    """Eyes that are open before the block begins, for what has the labels."""
    eyes = Eyes()
    async with asyncio.TaskGroup() as watches:
        tasks = [watches.create_task(_watch(client, kind, selector, eyes, accept)) for kind in kinds]
        await asyncio.sleep(1)
        try:
            yield eyes
        finally:
            for task in tasks:
                task.cancel()


async def _watch(client: Client, kind: Kind, selector: str, eyes: Eyes, accept: str) -> None:
    """Watch for ever: the server ends a watch whose client is too slow for it, which then goes on where it was."""
    parameters = {"watch": "1", "labelSelector": selector, "timeoutSeconds": "7200"}
    headers = {"Accept": accept}
    while True:
        async with client.session.get(kind.path(None), params=parameters, headers=headers) as response:
            response.raise_for_status()
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    message = f"the watch of {kind.plural} has failed: {event['object']}"
                    raise RuntimeError(message)
                parameters["resourceVersion"] = event["object"]["metadata"]["resourceVersion"]
                eyes.saw(kind.kind, event)
