"""Observe every object of every namespace through the campaign's own watches at the API server.

It opens one watch per kind for all cases, and bypasses the faults.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp
from tests.chaos.namespace_state import NamespaceState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chaos.proxy import Upstream

# Controllers write these at any time, so they say nothing about the operator.
NOISE = frozenset({"events", "endpoints", "endpointslices", "leases", "controllerrevisions"})
UNLIMITED = aiohttp.ClientTimeout(total=None)


class Observer:
    """The observed state of every namespace."""

    def __init__(self, upstream: Upstream) -> None:
        """Start empty; `watching` starts the watches."""
        self.namespaces: defaultdict[str, NamespaceState] = defaultdict(NamespaceState)
        self._upstream = upstream

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Observer]:
        """Watch every namespaced kind of the API server during the block."""
        paths = await self._paths()
        versions = {path: await self._version(path) for path in paths}
        tasks = [asyncio.create_task(self._watch(path, version)) for path, version in versions.items()]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _paths(self) -> list[str]:
        groups = (await self._upstream.ask("GET", "/apis"))["groups"]
        roots = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
        paths = []
        for root in roots:
            try:
                resources = (await self._upstream.ask("GET", root))["resources"]
            except aiohttp.ClientResponseError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                continue  # the last CRD of the group was just removed
            paths += [f"{root}/{each['name']}" for each in resources if _is_observed(each)]
        return paths

    async def _version(self, path: str) -> str:
        listed = await self._upstream.ask("GET", f"{path}?limit=1")
        return str(listed["metadata"]["resourceVersion"])

    async def _watch(self, path: str, version: str) -> None:
        while True:
            url = f"{self._upstream.url}{path}?watch=true&allowWatchBookmarks=true&resourceVersion={version}"
            async with self._upstream.session.get(url, timeout=UNLIMITED, read_bufsize=2**22) as response:
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        message = f"the watch of {path} broke, so the state is unknown: {event['object']}"
                        raise RuntimeError(message)
                    metadata = event["object"]["metadata"]
                    version = metadata["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self.namespaces[metadata["namespace"]].record(event["type"], event["object"])


def _is_observed(resource: dict[str, Any]) -> bool:
    return resource["namespaced"] and "watch" in resource["verbs"] and resource["name"] not in NOISE
