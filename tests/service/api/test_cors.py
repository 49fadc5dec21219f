"""CORS: preflights and requests from pages of other origins."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError
from tests.service.fakes import ANSWER, QUESTION, Replica

from mcq_service.api import app
from mcq_service.runtime.api_keys import ApiKeys
from mcq_service.runtime.settings import Settings

ORIGIN = "https://quiz.example"
KEY = "0123456789abcdef0123456789abcdef"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


@asynccontextmanager
async def cors_client(
    replica: Replica, folder: Path, allowed: Sequence[str]
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the replica, which requires a key and allows these origins."""
    (folder / "tester").write_text(KEY)
    replica.app = app.build(
        replica.lifecycle,
        metrics=replica.metrics,
        tracing=replica.tracing,
        keys=ApiKeys(folder),
        allowed_origins=allowed,
    )
    replica.load()
    async with replica.client() as client:
        yield client


@pytest.mark.parametrize("allowed", [(), ("https://other.example",)])
async def test_a_preflight_of_a_disallowed_origin_is_403(
    replica: Replica, tmp_path: Path, allowed: Sequence[str]
) -> None:
    """No preflight has a key, so the refusal says how to allow the origin instead of asking for a key."""
    async with cors_client(replica, tmp_path, allowed) as client:
        refused = await client.options(ANSWER, headers=PREFLIGHT)
        assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (403, "cross-origin")
        assert "MCQ_ALLOWED_ORIGINS" in refused.json()["detail"]
        assert "access-control-allow-origin" not in refused.headers
        as_openai = await client.options("/v1/completions", headers=PREFLIGHT)
        assert (as_openai.status_code, as_openai.json()["error"]["code"]) == (403, "cross_origin")


@pytest.mark.parametrize("allowed", [(ORIGIN, "https://other.example"), ("*",)])
async def test_a_page_of_an_allowed_origin_may_ask(
    replica: Replica, tmp_path: Path, allowed: Sequence[str]
) -> None:
    """The page may send its key and headers, and read refusals."""
    async with cors_client(replica, tmp_path, allowed) as client:
        preflight = await client.options(ANSWER, headers=PREFLIGHT)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] in {ORIGIN, "*"}
        assert "POST" in preflight.headers["access-control-allow-methods"]
        for headers, status in (({"Authorization": f"Bearer {KEY}"}, 200), ({}, 401)):
            answer = await client.post(ANSWER, json=QUESTION, headers={"Origin": ORIGIN, **headers})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] in {ORIGIN, "*"}


@pytest.mark.parametrize("header", ["mcq-escalation", "x-stainless-lang"])
@pytest.mark.parametrize("allowed", [(ORIGIN,), ("*",)])
async def test_a_page_of_an_allowed_origin_may_send_any_header(
    replica: Replica, tmp_path: Path, header: str, allowed: Sequence[str]
) -> None:
    """The API has headers of its own, and clients such as openai-js add theirs."""
    async with cors_client(replica, tmp_path, allowed) as client:
        names = f"authorization,content-type,{header}"
        preflight = await client.options(
            ANSWER, headers={**PREFLIGHT, "Access-Control-Request-Headers": names}
        )
        assert preflight.status_code == 200
        assert header in preflight.headers["access-control-allow-headers"]


async def test_options_without_a_page_returns_the_methods(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """A client that sends an origin gets the methods, too."""
    replica.load()
    response = await client.options(ANSWER, headers={"Origin": ORIGIN})
    assert (response.status_code, response.headers["allow"]) == (204, "OPTIONS, POST")


def test_origins_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable has the list; an invalid origin is an error, because it would match no page."""
    assert Settings().allowed_origins == ()
    monkeypatch.setenv("MCQ_ALLOWED_ORIGINS", "https://a.example, http://localhost:3000")
    assert Settings().allowed_origins == ("https://a.example", "http://localhost:3000")
    for wrong in ("a.example", "https://a.example/", "https://A.example", "null"):
        monkeypatch.setenv("MCQ_ALLOWED_ORIGINS", wrong)
        with pytest.raises(ValidationError, match="an origin is a scheme"):
            Settings()
