"""The operator's HTTP server: metrics for Prometheus, readiness, and liveness (whether a restart would help)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


@dataclass
class Health:
    """The health of an operator that leads. One that waits for the lease is always healthy.

    Attributes:
        stuck_seconds: the time limit of one reconcile.
        longest_reconcile: returns the age of the longest reconcile, in seconds.

    """

    stuck_seconds: float
    longest_reconcile: Callable[[], float] = lambda: 0.0

    def problem(self) -> str:
        """Return the problem; empty if there is none."""
        longest = self.longest_reconcile()
        return f"a reconcile has been running for {longest:.0f} s" if longest > self.stuck_seconds else ""


@asynccontextmanager
async def serve(
    *,
    host: str,
    port: int,
    registry: CollectorRegistry,
    ready: Callable[[], bool],
    problem: Callable[[], str],
) -> AsyncIterator[None]:
    """Serve `/metrics`, `/readyz` and `/livez`.

    A process is ready when its watches are set up, or while it waits for the Lease; it is live while its loop runs and
    `problem` is empty.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def livez(_: web.Request) -> web.Response:
        message = problem()
        return web.Response(status=503, text=f"{message}\n") if message else web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if ready() else web.Response(status=503, text="starting\n")

    app = web.Application()
    app.add_routes(
        [web.get("/metrics", metrics), web.get("/livez", livez), web.get("/readyz", readyz)],
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        # Without a host, asyncio opens a socket for each address family of the machine.
        await web.TCPSite(runner, None if host == "::" else host, port).start()
        yield
    finally:
        await runner.cleanup()
