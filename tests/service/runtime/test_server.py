"""The service as a process with another server as its engine: its ports from start to end."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError
from starlette.responses import Response, StreamingResponse
from tests.service.fakes import ANSWER, QUESTION
from tests.service.processes import START_SECONDS, Service, free_port, service
from tests.service.upstream import Upstream, scored, served

from mcq_service.runtime.settings import Settings


async def ready(client: httpx.AsyncClient, running: Service, url: str) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert running.process.poll() is None, running.log
            try:
                if (await client.get(f"{url}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


async def test_the_probe_port_serves_metrics_and_ends_last(tmp_path: Path) -> None:
    """The probe port alone has metrics and the test question, and no Ingress leads to it.

    A draining replica reports there that it is alive, but not ready.
    """
    release, requested = asyncio.Event(), asyncio.Event()
    port = free_port()
    probes = f"http://127.0.0.1:{port}"

    def late() -> Response:
        async def body() -> AsyncIterator[bytes]:
            requested.set()
            await release.wait()
            yield bytes(scored().body)

        return StreamingResponse(body(), media_type="application/json")

    upstream = Upstream()
    async with served(upstream), httpx.AsyncClient(timeout=30) as client:
        settings = {"MCQ_ENGINE": "openai", "MCQ_OPENAI_ENDPOINT": upstream.url, "MCQ_PROBE_PORT": str(port)}
        with service(tmp_path / "log", MCQ_DEFAULT_MODE="answer", **settings) as running:
            await ready(client, running, probes)
            paths = ("/startupz", "/readyz", "/livez", "/metrics", "/answerz", "/", ANSWER)
            probe_statuses = [(await client.get(f"{probes}{path}")).status_code for path in paths]
            assert probe_statuses == [200, 200, 200, 200, 200, 404, 404]
            statuses = [(await client.get(f"{running.url}{path}")).status_code for path in paths[:5]]
            assert statuses == [200, 200, 200, 404, 404]

            upstream.replies = [late]
            question = asyncio.create_task(client.post(f"{running.url}{ANSWER}", json=QUESTION))
            await requested.wait()
            running.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                while (await client.get(f"{probes}/readyz")).status_code != 503:
                    await asyncio.sleep(0.05)
            assert (await client.get(f"{probes}/livez")).status_code == 200
            release.set()
            assert (await question).status_code == 200
            assert await asyncio.to_thread(running.process.wait, 30) == 0


@pytest.mark.parametrize("taken", ["MCQ_PORT", "MCQ_PROBE_PORT"])
async def test_a_port_in_use_is_named(tmp_path: Path, taken: str) -> None:
    """This holds for both ports."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        settings = {"MCQ_PROBE_PORT": str(free_port()), taken: port}
        engine = {"MCQ_ENGINE": "openai", "MCQ_OPENAI_ENDPOINT": "http://127.0.0.1:9"}
        with service(tmp_path / "log", **settings, **engine) as running:
            assert await asyncio.to_thread(running.process.wait, START_SECONDS) == 1
    assert f"Can't listen on 127.0.0.1:{port}: Address already in use" in running.log


def test_the_probe_port_differs_from_the_port() -> None:
    """An empty variable means no probe port."""
    with pytest.raises(ValidationError, match="must differ from MCQ_PORT"):
        Settings(port=8000, probe_port=8000)
    assert Settings(probe_port="").probe_port is None
