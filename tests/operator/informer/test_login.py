"""kopf's session turns answers that would end kopf's login into 429, which kopf retries."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import kopf
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.operator.support import write_kubeconfig

from mcq_operator.informer.handlers import HandlerMemo, settings
from mcq_operator.informer.lists import Lists
from mcq_operator.informer.login import login
from mcq_operator.informer.watch_events import Events
from mcq_operator.store import Observation


class NoObserver:
    """An observer that expects no event."""

    def observe(self, status: Observation) -> None:
        raise NotImplementedError


def _nothing(_: object) -> None:
    raise NotImplementedError


MEMO = HandlerMemo(NoObserver(), Lists(_nothing), Events(_nothing))


async def _set_status(request: web.Request) -> web.Response:
    assert request.headers["Authorization"] == "Bearer secret"
    return web.Response(status=int(request.match_info["status"]))


@pytest.fixture
async def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[kopf.AiohttpSession]:
    """A login with a kubeconfig; its server answers /500 with 500."""
    app = web.Application()
    app.add_routes([web.get("/{status}", _set_status), web.get("/{status}/{kind}", _set_status)])
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


async def test_without_credentials_there_is_no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert await login(memo=MEMO, settings=settings()) is None
