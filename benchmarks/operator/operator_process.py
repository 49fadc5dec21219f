"""An operator as a process: start it, read its metrics, end it by its pid."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from hack.control_plane.instance import free_ports

from benchmarks.procfs import cpu_seconds, memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

Samples = dict[str, float]
"""Metric values by name and labels, as written in Prometheus's text format."""

START_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Program:
    """A command to start, and the port of its readiness probe."""

    command: list[str]
    environment: dict[str, str]
    port: int


def ours(kubeconfig: Path, *, canary: str) -> Program:
    """Return this project's operator; its test questions go to `canary`."""
    [port] = free_ports(1)
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "MCQ_OPERATOR_HOST": "127.0.0.1",
        "MCQ_OPERATOR_PORT": str(port),
        "MCQ_OPERATOR_CANARY_URL": canary,
    }
    return Program([sys.executable, "-m", "mcq_operator"], environment, port)


class Operator:
    """A running operator."""

    def __init__(self, process: asyncio.subprocess.Process, session: aiohttp.ClientSession) -> None:
        """Use `session`, which has the operator's own server as its base URL."""
        self._process = process
        self._session = session

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds since the process started."""
        return cpu_seconds(self._process.pid)

    @property
    def memory(self) -> dict[str, float]:
        """The memory in MiB; see procfs.memory."""
        return memory(self._process.pid)

    async def samples(self) -> Samples:
        """Return all metrics."""
        async with self._session.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    async def ready(self) -> bool:
        """Return True if the operator watches."""
        if self._process.returncode is not None:
            raise RuntimeError(f"the operator ended with status {self._process.returncode}, see its log")
        try:
            async with self._session.get("/readyz") as response:
                return response.ok
        except aiohttp.ClientError:
            return False

    async def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if the process does not end."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def running(program: Program, log: Path) -> AsyncIterator[Operator]:
    """Run an operator during the block; yield it once it watches."""
    environment = {**os.environ, **program.environment}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *program.command, env=environment, stdout=output, stderr=output
        )
    async with aiohttp.ClientSession(f"http://127.0.0.1:{program.port}") as session:
        operator = Operator(process, session)
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await operator.ready():
                    await asyncio.sleep(0.05)
            yield operator
        finally:
            await operator.stop()


def total(samples: Samples, metric: str) -> float:
    """Return the sum over a metric's labels."""
    return sum(value for name, value in samples.items() if name == metric or name.startswith(metric + "{"))


def by_label(samples: Samples, metric: str, label: str) -> Samples:
    """Return the sums by one label."""
    sums: Samples = {}
    for name, value in samples.items():
        if name.startswith(metric + "{"):
            key = name.partition(f'{label}="')[2].partition('"')[0]
            sums[key] = sums.get(key, 0.0) + value
    return sums
