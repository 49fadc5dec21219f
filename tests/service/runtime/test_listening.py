"""The addresses that a replica listens on."""

import asyncio
import socket

import httpx
import pytest
import uvicorn
from tests.service.fakes import Replica

from mcq_service.runtime import connections, server


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", ["127.0.0.1"]), ("::1", ["::1"]), ("::", ["127.0.0.1", "::1"])]
)
async def test_a_replica_listens_on_ipv4_and_ipv6(replica: Replica, host: str, expected: list[str]) -> None:
    """`::` means both; IPv4 clients keep their IPv4 addresses, which limits and lists of proxies use."""
    hosts: list[str] = []

    @replica.app.middleware("http")
    async def record_host(request, call_next):  # type: ignore[no-untyped-def]
        hosts.append(request.client.host)
        return await call_next(request)

    listeners = server._listen(host, 0)
    running = uvicorn.Server(connections.uvicorn_config(replica.app))
    serving = asyncio.create_task(running.serve(sockets=listeners))
    ports = {listener.getsockname()[1] for listener in listeners}
    assert len(ports) == 1
    async with httpx.AsyncClient() as client:
        for address in expected:
            url = f"http://[{address}]" if ":" in address else f"http://{address}"
            assert (await client.get(f"{url}:{next(iter(ports))}/livez")).status_code == 200
    running.should_exit = True
    await serving
    assert hosts == expected


def test_a_replica_listens_on_ipv4_without_ipv6_in_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our machines have IPv6, so the test fakes the kernel's refusal."""
    create = socket.create_server

    def refuse(address: tuple[str, int], *, family: int = socket.AF_INET) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return create(address)

    monkeypatch.setattr(socket, "create_server", refuse)
    [listener] = server._listen("::", 0)
    with listener:
        assert listener.family == socket.AF_INET


def test_an_address_in_use_is_named() -> None:
    """An IPv6 address has its brackets."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"Can't listen on \[::1\]:{port}: Address already in use"):
            server._listen("::1", port)
