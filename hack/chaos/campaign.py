"""Many cases side by side, each in a namespace of its own, against one API server."""

from __future__ import annotations

import asyncio
import random
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import yaml

from hack.chaos.observer import Observer
from hack.chaos.proxy import Upstream
from hack.chaos.run import Arena, Clean, Result, clean, faulty
from hack.chaos.snapshot import difference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from hack.chaos.cases import Case

ATTEMPTS = 3


class UnsteadyError(Exception):
    """Clean runs differ from each other, so nothing can be compared with them."""


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Upstream]:
    """Connect to the API server. Its kubeconfig names certificates by path, as hack.cluster's do."""
    url, trust = _server(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Upstream(url, session)


@asynccontextmanager
async def arena(kubeconfig: Path, directory: Path) -> AsyncIterator[Arena]:
    """What runs need: the API server, watched."""
    async with connected(kubeconfig) as upstream, Observer(upstream).watching() as observer:
        yield Arena(upstream, observer, directory)


async def agreed(arena: Arena) -> Clean:
    """What two clean runs show alike. Raises UnsteadyError, TimeoutError."""
    for _ in range(ATTEMPTS):
        one, other = await asyncio.gather(clean(arena), clean(arena))
        lines = [
            *difference(other.snapshots, one.snapshots),
            *difference(other.counts, one.counts),
            *difference(sorted(other.watching), sorted(one.watching)),
        ]
        if not lines:
            return one
    message = "clean runs differ: " + "; ".join(lines[:10])
    raise UnsteadyError(message)


async def run(arena: Arena, cases: Sequence[Case], expected: Clean, *, jobs: int) -> AsyncIterator[Result]:
    """Run the cases, `jobs` at once; gives each result as it comes."""
    turns = asyncio.Semaphore(jobs)

    async def one(case: Case) -> Result:
        async with turns:
            return await faulty(arena, str(case), case.make(), expected)

    # Mixed, so that those that mostly wait run beside those that work.
    mixed = random.Random(0).sample(cases, len(cases))  # noqa: S311 - nobody is to be kept from guessing it
    for result in asyncio.as_completed([one(case) for case in mixed]):
        yield await result


def _server(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trust = ssl.create_default_context(cafile=cluster["certificate-authority"])
    trust.load_cert_chain(user["client-certificate"], user["client-key"])
    return cluster["server"], trust
