"""A minimal API client, so that the benchmark measures the operator and the server."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path

IN_FLIGHT = 32
APPLY = {"Content-Type": "application/apply-patch+yaml"}
MERGE = {"Content-Type": "application/merge-patch+json"}
JSON = {"Content-Type": "application/json"}


class Client:
    """Sends bytes and returns JSON; a response status of 400 or above raises aiohttp.ClientResponseError."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Use `session`, which has the server as its base URL and authenticates."""
        self.session = session

    async def send(self, method: str, path: str, body: bytes = b"", headers: Any = JSON) -> Any:
        """Send one request."""
        async with self.session.request(method, path, data=body or None, headers=headers) as response:
            content = await response.read()
            response.raise_for_status()
            return json.loads(content)


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Client]:
    """Yield a client for a kubeconfig with embedded credentials, a token, or paths of a certificate and its key."""
    config = _loaded(kubeconfig)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(
        cafile=cluster.get("certificate-authority"),
        cadata=_decoded(cluster.get("certificate-authority-data")),
    )
    if "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(
        cluster["server"], connector=connector, headers=headers, timeout=timeout, read_bufsize=2**21
    ) as session:
        yield Client(session)


async def at_once(work: Iterable[Callable[[], Awaitable[Any]]]) -> None:
    """Run all of `work`, at most IN_FLIGHT at a time."""
    waiting = iter(work)

    async def worker() -> None:
        for each in waiting:
            await each()

    async with asyncio.TaskGroup() as workers:
        for _ in range(IN_FLIGHT):
            workers.create_task(worker())


def _loaded(kubeconfig: Path) -> Any:
    return yaml.safe_load(kubeconfig.read_text())


def _decoded(text: str | None) -> str | None:
    return base64.b64decode(text).decode() if text else None
