"""Run many cases in parallel against one API server, each in its own namespace."""

from __future__ import annotations

import asyncio
import random
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import yaml
from tests.chaos.observer import Observer
from tests.chaos.proxy import Upstream
from tests.chaos.run import Arena, CleanRun, Result, run_clean, run_with_fault
from tests.chaos.snapshot import difference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.chaos.cases import Case

ATTEMPTS = 3


class UnsteadyError(Exception):
    """Clean runs differ from each other, so they can't serve as the reference."""


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Upstream]:
    """Yield the API server of a kubeconfig that names its certificates by path, as hack.cluster's do."""
    url, trust = _server(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Upstream(url, session)


@asynccontextmanager
async def arena(kubeconfig: Path, directory: Path) -> AsyncIterator[Arena]:
    """Yield the runs' shared environment: the API server and an observer of it."""
    async with connected(kubeconfig) as upstream, Observer(upstream).watching() as observer:
        yield Arena(upstream, observer, directory)


async def agreed(arena: Arena) -> CleanRun:
    """Return the common record of two clean runs. Raises UnsteadyError, TimeoutError."""
    for _ in range(ATTEMPTS):
        first, second = await asyncio.gather(run_clean(arena), run_clean(arena))
        lines = [
            *difference(second.snapshots, first.snapshots),
            *difference(second.counts, first.counts),
            *difference(sorted(second.watching), sorted(first.watching)),
        ]
        if not lines:
            return first
    message = "clean runs differ: " + "; ".join(lines[:10])
    raise UnsteadyError(message)


async def run(arena: Arena, cases: Sequence[Case], expected: CleanRun, *, jobs: int) -> AsyncIterator[Result]:
    """Run the cases, `jobs` at a time; yield each result as it completes."""
    slots = asyncio.Semaphore(jobs)

    async def run_case(case: Case) -> Result:
        async with slots:
            return await run_with_fault(arena, str(case), case.make(), expected)

    # Shuffle, so that cases that mostly wait run beside cases that work.
    shuffled = random.Random(0).sample(cases, len(cases))
    for result in asyncio.as_completed([run_case(case) for case in shuffled]):
        yield await result


def _server(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trust = ssl.create_default_context(cafile=cluster["certificate-authority"])
    trust.load_cert_chain(user["client-certificate"], user["client-key"])
    return cluster["server"], trust
