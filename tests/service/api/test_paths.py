"""The service below a path prefix that a proxy keeps in the request."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError
from tests.service.fakes import ANSWER, QUESTION, Replica

from mcq_service.api import app
from mcq_service.runtime.api_keys import ApiKeys
from mcq_service.runtime.settings import Settings


@pytest.fixture(params=["/mcq", "/teams/blue", "/api", "/api/v1", "/v1", "/docs", "/mcq.v1~x"])
async def root(request: pytest.FixtureRequest) -> str:
    """Return root paths, some of which begin like a path of the service."""
    return str(request.param)


@pytest.fixture
async def client(replica: Replica, root: str) -> AsyncIterator[httpx.AsyncClient]:
    replica.app = app.build(
        replica.lifecycle, metrics=replica.metrics, tracing=replica.tracing, root_path=root
    )
    replica.load()
    async with replica.client() as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/", "/page/main.js", "/v1/models", "/api/v1/service", "/livez", "/openapi.json"]
)
async def test_each_path_is_served_with_the_root_path_and_without(
    client: httpx.AsyncClient, root: str, path: str
) -> None:
    """An Ingress passes its prefix on; probes and clients inside the cluster use none."""
    plain, prefixed = await client.get(path), await client.get(f"{root}{path}")
    assert (plain.status_code, prefixed.status_code) == (200, 200)
    assert plain.headers["content-type"] == prefixed.headers["content-type"]


async def test_a_question_is_answered_below_the_root_path(client: httpx.AsyncClient, root: str) -> None:
    """A trailing slash is allowed, too."""
    for path in (f"{root}{ANSWER}", f"{root}{ANSWER}/", ANSWER):
        answered = await client.post(path, json=QUESTION)
        assert (answered.status_code, answered.json()["answer"]["label"]) == (200, "B"), path


async def test_other_paths_are_not_found(client: httpx.AsyncClient, root: str) -> None:
    """A prefix consists of whole segments and counts once."""
    for path in (f"{root}x{ANSWER}", f"/other{ANSWER}", f"{root}{root}{ANSWER}", f"{root}/nothing"):
        assert (await client.post(path, json=QUESTION)).status_code == 404, path


@pytest.mark.parametrize("root", ["/mcq", "/teams/blue"])
async def test_pages_redirect_so_that_their_relative_links_work(client: httpx.AsyncClient, root: str) -> None:
    """The redirect is relative, so it needs no scheme, host or further prefix."""
    moved = await client.get(root)
    assert (moved.status_code, moved.headers["location"]) == (308, f"{root.rpartition('/')[2]}/")
    assert str((await client.get(root, follow_redirects=True)).url) == f"http://replica{root}/"
    docs = await client.get(f"{root}/docs/")
    assert (docs.status_code, docs.headers["location"]) == (308, "../docs")
    assert str((await client.get(f"{root}/docs/", follow_redirects=True)).url) == f"http://replica{root}/docs"


@pytest.mark.parametrize("root", ["/mcq"])
async def test_the_contract_names_the_root_path(client: httpx.AsyncClient, root: str) -> None:
    """A generated client then asks below it."""
    assert (await client.get(f"{root}/openapi.json")).json()["servers"] == [{"url": root}]


async def test_a_key_is_needed_below_the_root_path(replica: Replica, tmp_path: Path) -> None:
    """A prefix does not bypass the key."""
    (tmp_path / "tester").write_text("0123456789abcdef0123456789abcdef")
    replica.app = app.build(
        replica.lifecycle,
        metrics=replica.metrics,
        tracing=replica.tracing,
        keys=ApiKeys(tmp_path),
        root_path="/mcq",
    )
    replica.load()
    async with replica.client() as client:
        assert (await client.post(f"/mcq{ANSWER}", json=QUESTION)).status_code == 401
        assert (await client.get("/mcq/livez")).status_code == 200


async def test_no_route_begins_with_another_after_a_prefix(replica: Replica) -> None:
    """Otherwise a root path could give one path two meanings."""
    paths = {route.path for route in replica.app.routes if hasattr(route, "path")}
    assert [
        (path, tail)
        for path in paths
        for tail in paths
        if path != tail and tail != "/" and path.endswith(tail)
    ] == []


@pytest.mark.parametrize(("given", "normalised"), [("/mcq/", "/mcq"), ("/", ""), ("", "")])
def test_a_trailing_slash_of_the_root_path_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, given: str, normalised: str
) -> None:
    """The path prefix of an Ingress may end in a slash."""
    monkeypatch.setenv("MCQ_ROOT_PATH", given)
    assert Settings().root_path == normalised


@pytest.mark.parametrize("given", ["mcq", "//evil.example", "/a b", "/a?b"])
def test_an_invalid_root_path_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """The start fails."""
    monkeypatch.setenv("MCQ_ROOT_PATH", given)
    with pytest.raises(ValidationError, match="root_path"):
        Settings()
