"""The MCQ API over HTTP: answers, problem documents, limits and readiness."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from importlib import metadata
from typing import Any

import httpx
import pytest
from tests.service.fakes import ANSWER, QUESTION, Replica, problem, sample, until

from mcq_service.api.http.body import MAX_BYTES
from mcq_service.api.mcq.answer_schemas import Answer
from mcq_service.engine import PromptTooLong
from mcq_service.runtime.lifecycle import Status

JSON = {"Content-Type": "application/json"}


async def test_an_explained_answer_has_all_its_parts(replica: Replica, client: httpx.AsyncClient) -> None:
    """The answer has the choice, every probability, the reasoning, usage and timings."""
    replica.load()
    response = await client.post(ANSWER, json=QUESTION)
    assert response.status_code == 200
    answer = Answer.model_validate(response.json())
    assert answer.answer is not None
    assert (answer.answer.label, answer.answer.index, answer.answer.text) == ("B", 1, "apple")
    assert [each.label for each in answer.probabilities] == ["A", "B", "C"]
    assert sum(each.probability for each in answer.probabilities) == pytest.approx(1)
    assert [answer.confidence, answer.margin] == pytest.approx([0.7, 0.55])
    assert answer.reasoning == "Because so."
    assert (answer.mode, answer.model) == ("explain", "fake/model")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.cached_tokens) == (
        30,
        3,
        20,
    )
    assert 0 <= answer.timings.queue_ms <= answer.timings.answer_ms <= answer.timings.total_ms


async def test_mode_answer_decodes_nothing(replica: Replica, client: httpx.AsyncClient) -> None:
    """The reasoning is null, but present."""
    replica.load()
    body = (await client.post(ANSWER, json={**QUESTION, "mode": "answer"})).json()
    assert body["reasoning"] is None
    assert replica.texts.decoded == 0


async def test_the_limit_on_reasoning_is_kept(replica: Replica, client: httpx.AsyncClient) -> None:
    """The request's own limit overrides the service's, and an open line is closed."""
    replica.texts.pieces = ["word "] * 100
    replica.load()
    body = (await client.post(ANSWER, json={**QUESTION, "max_reasoning_tokens": 5})).json()
    assert body["reasoning"] == "word word word word word"
    assert (await client.post(ANSWER, json=QUESTION)).json()["usage"]["completion_tokens"] == 8


async def test_long_reasoning_is_truncated(replica: Replica, client: httpx.AsyncClient) -> None:
    """Long tokens and text that must be escaped still end in an answer."""
    replica.texts.pieces = ["\\\\" * 128] * 512
    replica.load()
    response = await client.post(ANSWER, json={**QUESTION, "max_reasoning_tokens": 512})
    assert response.status_code == 200
    assert response.json()["reasoning"]


async def test_a_maps_labels_are_the_answers(replica: Replica, client: httpx.AsyncClient) -> None:
    """Labels and index follow the client's map."""
    replica.load()
    body = (await client.post(ANSWER, json={**QUESTION, "choices": {"X": "stone", "K": "apple"}})).json()
    assert body["answer"] == {"label": "K", "index": 1, "text": "apple"}


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe{}", b'{"question": }', b"[" * 20_000])
async def test_a_body_that_is_not_json_is_400(
    replica: Replica, client: httpx.AsyncClient, body: bytes
) -> None:
    """The body has broken syntax, another encoding or absurd nesting, or is missing."""
    replica.load()
    response = await client.post(ANSWER, content=body, headers=JSON)
    if body:
        problem(response, 400, "malformed-body")
    else:
        problem(response, 422, "invalid-question")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"question": " "}, "/question"),
        ({"question": 5}, "/question"),
        ({"question": "\ud800"}, "/question"),
        ({"choices": ["x"]}, "/choices"),
        ({"choices": "AB"}, "/choices"),
        ({"choices": ["x", ""]}, "/choices/1"),
        ({"choices": ["x", "x "]}, ""),
        ({"choices": {"A": "x", "list": "y"}}, "/choices/list"),
        ({"choices": {"A": "x", "a/b~": "y"}}, "/choices/a~1b~0"),
        ({"choices": {"A": "x", "B": 2}}, "/choices/B"),
        ({"mode": "think"}, "/mode"),
        ({"max_reasoning_tokens": 0}, "/max_reasoning_tokens"),
        ({"extra": 1}, "/extra"),
        ({"list": 1}, "/list"),
    ],
)
async def test_an_invalid_question_is_422_and_points_at_the_error(
    replica: Replica, client: httpx.AsyncClient, change: dict[str, Any], pointer: str
) -> None:
    """Pointers follow RFC 6901, into the body as the client wrote it."""
    replica.load()
    response = await client.post(ANSWER, content=json.dumps({**QUESTION, **change}), headers=JSON)
    errors = problem(response, 422, "invalid-question")["errors"]
    assert pointer in {each["pointer"] for each in errors}
    assert all(each["detail"] for each in errors)
    assert replica.texts.read == []


@pytest.mark.parametrize("body", ["[]", '"text"', "null", "5"])
async def test_json_that_is_no_object_is_422(replica: Replica, client: httpx.AsyncClient, body: str) -> None:
    """The pointer is that of the whole body."""
    replica.load()
    errors = problem(await client.post(ANSWER, content=body, headers=JSON), 422, "invalid-question")["errors"]
    assert [each["pointer"] for each in errors] == [""]


async def test_all_errors_are_reported_at_once(replica: Replica, client: httpx.AsyncClient) -> None:
    """A client need not repair one field at a time."""
    replica.load()
    response = await client.post(ANSWER, json={"choices": ["x"], "mode": "?"})
    pointers = {each["pointer"] for each in problem(response, 422, "invalid-question")["errors"]}
    assert pointers == {"/question", "/choices", "/mode"}


async def test_a_question_too_long_for_the_context_is_422(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """The client gets the engine's numbers."""
    replica.texts.error = PromptTooLong("The prompt has 9000 tokens.")
    replica.load()
    body = problem(await client.post(ANSWER, json=QUESTION), 422, "invalid-question")
    assert body["errors"] == [{"pointer": "/question", "detail": "The prompt has 9000 tokens."}]


async def test_unknown_paths_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    """The statuses are 404 and 405; the latter comes with Allow."""
    problem(await client.get("/nothing"), 404, "not-found")
    response = await client.get(ANSWER)
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "OPTIONS, POST"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ANSWER),
        ("POST", "/api/v1/mcq/answers"),
        ("GET", "/api/v1/service"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/fake/model"),
        ("GET", "/openapi.json"),
        ("GET", "/livez"),
        ("GET", "/nothing"),
        ("OPTIONS", ANSWER),
    ],
)
async def test_a_trailing_slash_changes_nothing(
    replica: Replica, client: httpx.AsyncClient, method: str, path: str
) -> None:
    """There is no redirect: behind a proxy it would lead from https:// to http://."""
    replica.load()
    body = {"questions": [QUESTION]} if path.endswith("answers") else QUESTION
    plain, slashed = [
        await client.request(method, each, json=body if method == "POST" else None)
        for each in (path, f"{path}/")
    ]
    assert (slashed.status_code, slashed.is_redirect) == (plain.status_code, False)
    assert slashed.headers.get("content-type") == plain.headers.get("content-type")
    if method == "GET":
        assert slashed.content == plain.content


async def test_a_trailing_slash_does_not_bypass_a_limit(replica: Replica, client: httpx.AsyncClient) -> None:
    """Refusals are counted as on the path without the slash."""
    replica.load()
    await client.post(f"{ANSWER}/", content=b"{", headers=JSON)
    assert await sample(client, 'mcq_requests_total{mode="unknown",outcome="malformed-body"}') == 1
    failed = await client.post("/v1/completions/", json={})
    assert failed.json()["error"]["code"] == "invalid_value"


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_a_body_not_declared_as_json_is_415(
    replica: Replica, client: httpx.AsyncClient, media_type: str | None
) -> None:
    """So a browser's form can't ask questions."""
    replica.load()
    headers = {"Content-Type": media_type} if media_type else {}
    response = await client.post(ANSWER, content=json.dumps(QUESTION), headers=headers)
    problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "zstd", "gzip, identity", "aws-chunked"])
async def test_a_compressed_body_is_415_with_the_accepted_encoding(
    replica: Replica, client: httpx.AsyncClient, coding: str
) -> None:
    """The content does not matter."""
    replica.load()
    headers = {**JSON, "Content-Encoding": coding}
    response = await client.post(
        ANSWER, content=gzip.compress(json.dumps(QUESTION).encode()), headers=headers
    )
    assert coding.lower() in problem(response, 415, "unsupported-media-type")["detail"]
    assert response.headers["accept-encoding"] == "identity"
    assert response.headers["connection"] == "close"
    uncompressed = {**JSON, "Content-Encoding": "identity"}
    assert (await client.post(ANSWER, content=json.dumps(QUESTION), headers=uncompressed)).status_code == 200


async def test_json_may_declare_its_character_set(replica: Replica, client: httpx.AsyncClient) -> None:
    """Parameters of the media type are allowed."""
    replica.load()
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert (await client.post(ANSWER, content=json.dumps(QUESTION), headers=headers)).status_code == 200


async def test_a_large_body_is_413_whether_declared_or_chunked(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """The service counts an undeclared size, and stops reading at the limit."""
    replica.load()
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b" " * (MAX_BYTES // 16)

    declared = await client.post(ANSWER, content=b" " * (MAX_BYTES + 1), headers=JSON)
    problem(declared, 413, "body-too-large")
    problem(await client.post(ANSWER, content=chunks(), headers=JSON), 413, "body-too-large")
    assert read == 17


async def test_the_largest_body_is_read(replica: Replica, client: httpx.AsyncClient) -> None:
    """The limit itself is allowed."""
    replica.load()
    body = json.dumps(QUESTION).encode().ljust(MAX_BYTES)
    assert (await client.post(ANSWER, content=body, headers=JSON)).status_code == 200


async def test_a_full_queue_is_429_with_retry_after(replica: Replica, client: httpx.AsyncClient) -> None:
    """Admitted requests still get their answers."""
    replica.texts.gate.clear()
    replica.load(max_queued=1, max_active=1)
    first = asyncio.create_task(client.post(ANSWER, json=QUESTION))
    await until(lambda: replica.texts.read)
    second = asyncio.create_task(client.post(ANSWER, json=QUESTION))
    await until(lambda: replica.admission.queued == 1)
    refused = await client.post(ANSWER, json=QUESTION)
    problem(refused, 429, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    unread = await client.post(ANSWER, content=b"{", headers=JSON)
    problem(unread, 429, "overloaded")
    assert await sample(client, "mcq_queue_depth") == 1
    replica.texts.gate.set()
    assert [each.status_code for each in await asyncio.gather(first, second)] == [200, 200]


async def test_a_defect_is_500_and_reveals_nothing(replica: Replica, client: httpx.AsyncClient) -> None:
    """The next question is answered."""
    replica.texts.error = RuntimeError("inner detail")
    replica.load()
    response = await client.post(ANSWER, json=QUESTION)
    problem(response, 500, "internal-error")
    assert "inner" not in response.text
    assert await sample(client, 'mcq_requests_total{mode="explain",outcome="internal-error"}') == 1
    replica.texts.error = None
    assert (await client.post(ANSWER, json=QUESTION)).status_code == 200


async def test_before_the_model_is_loaded_questions_are_503(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """The detail has the current progress."""
    replica.lifecycle.report(Status.FETCHING, 0.5, "Half of the weights are here.")
    response = await client.post(ANSWER, json=QUESTION)
    assert "Half of the weights" in problem(response, 503, "not-ready")["detail"]
    assert int(response.headers["retry-after"]) >= 1


async def test_during_drain_new_questions_are_503_and_admitted_ones_answered(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """Readiness ends at once; liveness and startup remain."""
    replica.texts.gate.clear()
    replica.load()
    admitted = asyncio.create_task(client.post(ANSWER, json=QUESTION))
    await until(lambda: replica.texts.read)
    draining = asyncio.create_task(replica.lifecycle.drain(seconds=10))
    await asyncio.sleep(0)
    problem(await client.post(ANSWER, json=QUESTION), 503, "draining")
    codes = [(await client.get(path)).status_code for path in ("/readyz", "/health", "/livez", "/startupz")]
    assert codes == [503, 503, 200, 200]
    replica.texts.gate.set()
    assert await draining
    assert (await admitted).status_code == 200


async def test_a_missed_deadline_is_504(replica: Replica, client: httpx.AsyncClient) -> None:
    """The metric counts it under its own name."""
    replica.texts.gate.clear()
    replica.load(deadline_seconds=0.05)
    problem(await client.post(ANSWER, json=QUESTION), 504, "deadline-exceeded")
    assert replica.texts.open_texts == 0
    assert replica.admission.pending == 0
    assert await sample(client, 'mcq_requests_total{mode="explain",outcome="deadline-exceeded"}') == 1


async def test_the_schema_lists_the_route_and_its_problems(client: httpx.AsyncClient) -> None:
    """A client can be generated from /openapi.json."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    responses = paths[ANSWER]["post"]["responses"]
    assert responses.keys() >= {"200", "400", "408", "413", "415", "422", "429", "431", "502", "503", "504"}
    ok = responses.pop("200")["content"]
    assert ok["application/json"]["schema"] == {"$ref": "#/components/schemas/Answer"}
    assert "text/event-stream" in ok
    for described in responses.values():
        schema = {"$ref": "#/components/schemas/Problem"}
        assert described["content"] == {"application/problem+json": {"schema": schema}}


async def test_the_version_is_the_packages(client: httpx.AsyncClient) -> None:
    """It is known before the model is loaded."""
    assert (await client.get("/version")).json() == {"version": metadata.version("mcq-service")}
