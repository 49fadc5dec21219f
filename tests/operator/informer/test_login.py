"""kopf's session turns answers that would end kopf's login into 429, which kopf retries."""

import asyncio
import gc
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import kopf
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hack.control_plane.certificates import Authority
from tests.operator.support import write_kubeconfig

from mcq_operator.informer.handlers import settings
from mcq_operator.informer.lists import Lists
from mcq_operator.informer.login import HandlerMemo, login
from mcq_operator.informer.watch_events import Events


def _nothing(_: object) -> None:
    raise NotImplementedError


MEMO = HandlerMemo(Lists(_nothing), Events(_nothing))


async def _set_status(request: web.Request) -> web.Response:
    assert request.headers["Authorization"] == "Bearer secret"
    return web.Response(status=int(request.match_info["status"]))


@pytest.fixture
async def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[kopf.AiohttpSession]:
    """A login with a kubeconfig; its server answers /500 with 500."""
    app = web.Application()
    app.add_routes([web.get("/{status}", _set_status), web.get("/{status}/{path:.+}", _set_status)])
    async with TestServer(app) as server:
        path = tmp_path / "kubeconfig"
        await asyncio.to_thread(write_kubeconfig, path, str(server.make_url("/")))
        monkeypatch.setenv("KUBECONFIG", str(path))
        session = await login(memo=MEMO, settings=settings())
        assert session is not None
        async with session.aiohttp_session:
            yield session


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("200", 200),
        ("401", 401),
        ("403", 403),
        ("403/api/v1/services", 403),
        ("403/api/v1/namespaces/team/services", 429),
        ("403/apis/mcq-operator.dev/v1alpha1/namespaces/team/mcqsolvers?watch=true", 429),
        ("404", 404),
        ("404/servicemonitors?watch=true", 429),
        ("409", 429),
        ("410", 429),
        ("429", 429),
        ("500", 429),
        ("503", 429),
    ],
)
async def test_an_error_that_ends_kopfs_login_is_retried(
    session: kopf.AiohttpSession, path: str, status: int
) -> None:
    async with session.aiohttp_session.get(f"{session.server}{path}") as response:
        assert response.status == status
        assert response.ok == (status == 200)
        if status != 200:
            with pytest.raises(aiohttp.ClientResponseError):
                response.raise_for_status()


@pytest.fixture
def silent_server(tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of a server that sends the start of a response, and then neither reads nor closes."""
    authority = Authority(tmp_path / "authority")
    authority.create()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("server", user="server", addresses=("IP:127.0.0.1",)))
    done = threading.Event()

    def serve() -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            done.wait()

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:
        served = thread.submit(serve)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        yield authority.kubeconfig(tmp_path / "kubeconfig", server=url, user="admin")
        done.set()
        served.result()


def test_an_open_watch_is_closed_before_the_loop_ends(
    silent_server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its socket stays open until Python finds it as garbage."""
    left: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", left.append)
    monkeypatch.setenv("KUBECONFIG", str(silent_server))

    async def watch() -> None:
        session = await login(memo=MEMO, settings=settings())
        assert session is not None
        response = await session.aiohttp_session.get(session.server)
        assert response.status == 200
        response.close()
        await session.aiohttp_session.close()

    asyncio.run(watch())
    gc.collect()
    assert left == []


async def test_without_credentials_there_is_no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert await login(memo=MEMO, settings=settings()) is None
