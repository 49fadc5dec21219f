"""Hostile and unusual requests get bounded, well-defined responses."""

import asyncio
import codecs
import json
import logging
import threading
from collections.abc import AsyncIterator
from string import ascii_uppercase
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from tests.service.fakes import ANSWER, ANSWERS, QUESTION, Replica, problem, sample, until

from mcq_service.api.http import json_parser, json_route
from mcq_service.api.http.body import BodyLimits
from mcq_service.api.http.header_limits import MAX_COUNT
from mcq_service.api.http.json_parser import MAX_DEPTH
from mcq_service.api.http.json_route import LARGE_BYTES
from mcq_service.api.http.validation import MAX_ERRORS
from mcq_service.api.mcq.choices import MAX_CHOICE_CHARACTERS, MAX_QUESTION_CHARACTERS

JSON = {"Content-Type": "application/json"}


def limit_bodies(replica: Replica, **limits: float) -> None:
    """Change the limits of the replica's middleware before its first request."""
    wrapped = next(
        each
        for each in replica.app.user_middleware
        if getattr(each.cls, "__name__", "") == BodyLimits.__name__
    )
    wrapped.kwargs.update(limits)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"question": "a", "question": "b", "choices": ["x", "y"]}', "/question"),
        ('{"question": "a", "choices": {"A": "x", "B": "y", "A": "z"}}', "/choices/A"),
        ('{"question": "a", "choices": ["x", "y"], "a/b~": 1, "a/b~": 1}', "/a~1b~0"),
        ('{"question": "a", "\\u0071uestion": "b"}', "/question"),
    ],
)
async def test_a_duplicate_key_is_422(
    replica: Replica, client: httpx.AsyncClient, body: str, pointer: str
) -> None:
    """The key is ambiguous: another parser on the way may take the other value."""
    replica.load()
    refusal = problem(await client.post(ANSWER, content=body, headers=JSON), 422, "invalid-question")
    assert refusal["errors"] == [{"pointer": pointer, "detail": "occurs twice"}]
    assert replica.texts.read == []


async def test_a_duplicate_key_in_a_batch_is_found(replica: Replica, client: httpx.AsyncClient) -> None:
    """The pointer names the question."""
    replica.load()
    body = (
        '{"questions": [{"question": "a", "choices": ["x", "y"]}, {"question": "b", "mode": 1, "mode": 1}]}'
    )
    refusal = problem(await client.post(ANSWERS, content=body, headers=JSON), 422, "invalid-question")
    assert refusal["errors"][0]["pointer"] == "/questions/1/mode"


@pytest.mark.parametrize(
    ("path", "change", "count"),
    [
        (ANSWER, dict.fromkeys(map(str, range(200)), 1), 200),
        (
            ANSWER,
            {"choices": dict.fromkeys(map(str, range(200)), 1)},
            400,
        ),  # one error for each label and each text
        ("/v1/completions", {"prompt": [[-1] * 100] * 256}, 256),  # one error for each prompt
        ("/v1/chat/completions", {"messages": [{}] * 500}, 1000),
    ],
)
async def test_twenty_errors_are_listed_and_all_are_counted(
    replica: Replica, client: httpx.AsyncClient, path: str, change: dict[str, Any], count: int
) -> None:
    """The response to an invalid body does not grow with the body."""
    replica.load()
    response = await client.post(path, json={**({} if path != ANSWER else QUESTION), **change})
    assert len(response.content) < 4096
    if path.startswith("/v1/"):
        assert f"There are {count} errors in all." in response.json()["error"]["message"]
    else:
        refusal = problem(response, 422, "invalid-question")
        assert len(refusal["errors"]) == MAX_ERRORS
        assert refusal["detail"].endswith(f"There are {count} errors in all.")


async def test_the_errors_of_a_batch_are_bounded_for_each_question(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """They are bounded like the errors of a single question."""
    replica.load()
    bad = {**QUESTION, **dict.fromkeys(map(str, range(200)), 1)}
    results = (await client.post(ANSWERS, json={"questions": [bad] * 3})).json()["results"]
    for result in results:
        assert len(result["problem"]["errors"]) == MAX_ERRORS
        assert result["problem"]["detail"].endswith("There are 200 errors in all.")


async def test_a_name_of_any_length_makes_a_short_error(replica: Replica, client: httpx.AsyncClient) -> None:
    """The pointer stays valid: it leads to the map with the name."""
    replica.load()
    choices = {"A": "1", "x" * 1_000_000: "2"}
    refusal = problem(
        await client.post(ANSWER, json={**QUESTION, "choices": choices}), 422, "invalid-question"
    )
    [error] = refusal["errors"]
    assert error["pointer"] == "/choices"
    assert error["detail"].startswith("xxx")
    assert len(json.dumps(refusal)) < 1000


@pytest.mark.parametrize("path", [ANSWER, ANSWERS, "/v1/completions", "/v1/chat/completions"])
@pytest.mark.parametrize(("size", "thread"), [(100, "MainThread"), (LARGE_BYTES + 1, "body_0")])
async def test_a_large_body_is_read_outside_the_event_loop(
    replica: Replica, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, size: int, thread: str
) -> None:  # fmt: skip
    """A thread parses and validates it, on every surface; a small body is not worth a thread."""
    replica.load()
    threads = []

    def parse(body: bytes) -> Any:
        threads.append(threading.current_thread().name)
        return json_parser.parse(body)

    monkeypatch.setattr(json_route, "json_parser", SimpleNamespace(parse=parse))
    await client.post(path, content=b"{}".ljust(size), headers=JSON)
    assert threads == [thread]


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 20_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
async def test_deep_nesting_is_400(
    replica: Replica, client: httpx.AsyncClient, depth: int, opening: str, closing: str
) -> None:
    """Nesting of any depth exhausts no recursion of the service."""
    replica.load()
    body = opening * depth + "1" + closing * depth
    response = await client.post(ANSWERS, content=body, headers=JSON)
    assert "nested" in problem(response, 400, "malformed-body")["detail"]


async def test_nesting_up_to_the_limit_is_read(replica: Replica, client: httpx.AsyncClient) -> None:
    """The body is then refused for its content."""
    replica.load()
    body = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    problem(await client.post(ANSWER, content=body, headers=JSON), 422, "invalid-question")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1" * 5000])
async def test_a_number_literal_outside_json_is_400(
    replica: Replica, client: httpx.AsyncClient, number: str
) -> None:
    """Python would read the literal."""
    replica.load()
    body = json.dumps({**QUESTION, "min_confidence": 1})[:-2] + number + "}"
    problem(await client.post(ANSWER, content=body, headers=JSON), 400, "malformed-body")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "true"])
async def test_a_number_out_of_range_is_422(replica: Replica, client: httpx.AsyncClient, number: str) -> None:
    """JSON allows the number, but the service has no use for it."""
    replica.load()
    body = json.dumps({**QUESTION, "min_confidence": 1})[:-2] + number + "}"
    refusal = problem(await client.post(ANSWER, content=body, headers=JSON), 422, "invalid-question")
    assert refusal["errors"][0]["pointer"] == "/min_confidence"


@pytest.mark.parametrize(
    "body",
    [b'{"question": "\xff"}', "{}".encode("utf-16"), "{}".encode("utf-16-le"), b"\xef\xbb{}", b"\0"],
)
async def test_anything_but_utf8_is_400(replica: Replica, client: httpx.AsyncClient, body: bytes) -> None:
    """The body has another encoding, half a character, or none."""
    replica.load()
    problem(await client.post(ANSWER, content=body, headers=JSON), 400, "malformed-body")


async def test_a_byte_order_mark_is_no_error(replica: Replica, client: httpx.AsyncClient) -> None:
    """Editors on Windows and PowerShell write one."""
    replica.load()
    body = codecs.BOM_UTF8 + json.dumps(QUESTION).encode()
    assert (await client.post(ANSWER, content=body, headers=JSON)).status_code == 200


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"question": "a \ud800"}, "/question"),
        ({"choices": ["x", "\udfff"]}, "/choices/1"),
        ({"choices": {"A": "x", "\ud83d": "y"}}, "/choices"),
        ({"\udc00": 1}, ""),
    ],
)
async def test_a_lone_surrogate_is_422(
    replica: Replica, client: httpx.AsyncClient, change: dict[str, Any], pointer: str
) -> None:
    """A value or a key may contain the surrogate; a response with it could not be sent."""
    replica.load()
    response = await client.post(ANSWER, content=json.dumps({**QUESTION, **change}), headers=JSON)
    assert problem(response, 422, "invalid-question")["errors"][0]["pointer"] == pointer


async def test_a_pair_of_escapes_is_one_character(replica: Replica, client: httpx.AsyncClient) -> None:
    """JSON defines the pair as one character."""
    replica.load()
    response = await client.post(ANSWER, content=json.dumps({**QUESTION, "question": "🙂?"}), headers=JSON)
    assert response.status_code == 200
    assert replica.texts.read[0].stem.startswith("🙂?")


@pytest.mark.parametrize("character", ["a", "é", "字", "🙂", "\u0001"])
@pytest.mark.parametrize("escaped", [True, False])
async def test_the_longest_question_fits_in_any_script(
    replica: Replica, client: httpx.AsyncClient, character: str, escaped: bool
) -> None:
    """Question and choices have as many characters as documented, of up to 12 bytes each."""
    replica.load()
    longest = {
        "question": character * MAX_QUESTION_CHARACTERS,
        "choices": [label + character * (MAX_CHOICE_CHARACTERS - 1) for label in ascii_uppercase],
        "mode": "answer",
    }
    body = json.dumps(longest, ensure_ascii=escaped).encode()
    assert (await client.post(ANSWER, content=body, headers=JSON)).status_code == 200


async def test_a_body_that_does_not_arrive_is_408(replica: Replica, client: httpx.AsyncClient) -> None:
    """A byte now and then does not extend the time limit."""
    limit_bodies(replica, seconds=0.2)
    replica.load()

    async def drops() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" "
            await asyncio.sleep(0.05)

    response = await client.post(ANSWER, content=drops(), headers=JSON)
    problem(response, 408, "body-too-slow")
    assert response.headers["connection"] == "close"


async def test_bodies_together_are_bounded(replica: Replica, client: httpx.AsyncClient) -> None:
    """A body that does not fit gets a Retry-After, and answered requests make room."""
    body = json.dumps(QUESTION).encode()
    limit_bodies(replica, memory_bytes=len(body) + 10)
    replica.load()
    replica.texts.gate.clear()
    first = asyncio.create_task(client.post(ANSWER, content=body, headers=JSON))
    await until(lambda: replica.texts.read)
    refused = await client.post(ANSWER, content=body, headers=JSON)
    problem(refused, 429, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    replica.texts.gate.set()
    assert (await first).status_code == 200
    assert (await client.post(ANSWER, content=body, headers=JSON)).status_code == 200


async def test_a_client_that_leaves_during_its_body_is_not_an_invalid_question(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """Half a body does not count as a whole one."""
    replica.load()
    messages = [
        {"type": "http.request", "body": json.dumps(QUESTION).encode(), "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": ANSWER, "raw_path": ANSWER.encode(), "query_string": b"",
        "headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http",
        "server": ("replica", 80), "client": ("client", 1), "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await replica.app(scope, receive, send)
    assert replica.texts.read == []
    assert await sample(client, 'mcq_requests_total{mode="unknown",outcome="client-left"}') == 1


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, JSON])
async def test_path_and_method_are_checked_before_the_body(
    replica: Replica, client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    """The media type of the body does not matter."""
    replica.load()
    problem(await client.post("/nothing", content=b"{", headers=headers), 404, "not-found")
    problem(await client.post("/livez", content=b"{", headers=headers), 405, "method-not-allowed")
    refused = await client.put(ANSWER, content=b"{", headers=headers)
    problem(refused, 405, "method-not-allowed")
    assert refused.headers["allow"] == "OPTIONS, POST"


async def test_head_is_get_without_the_body(replica: Replica, client: httpx.AsyncClient) -> None:
    """Load balancers send HEAD."""
    replica.load()
    for path in ("/livez", "/openapi.json"):
        head, get = await client.head(path), await client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers == get.headers
    assert (await client.head("/nothing")).status_code == 404
    refused = await client.head(ANSWER)
    assert (refused.status_code, refused.content, refused.headers["allow"]) == (405, b"", "OPTIONS, POST")


async def test_options_names_the_methods(replica: Replica, client: httpx.AsyncClient) -> None:
    """OPTIONS works for every existing path."""
    replica.load()
    for path, methods in {ANSWER: "OPTIONS, POST", "/livez": "GET, HEAD, OPTIONS"}.items():
        response = await client.options(path)
        assert (response.status_code, response.content, response.headers["allow"]) == (204, b"", methods)
    problem(await client.options("/nothing"), 404, "not-found")


@pytest.mark.parametrize("headers", [[(f"x-{n}", "1") for n in range(MAX_COUNT)], [("x-long", "x" * 20_000)]])
async def test_too_many_or_too_long_headers_are_431(
    client: httpx.AsyncClient, headers: list[tuple[str, str]]
) -> None:
    """The limit applies to every path."""
    problem(await client.get("/livez", headers=headers), 431, "headers-too-large")


async def test_a_request_is_one_log_line_without_client_text(
    replica: Replica, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The line has the method, route, status, milliseconds and key, and the path only as its template."""
    caplog.set_level(logging.INFO)
    replica.load()
    await client.post(ANSWER, json={**QUESTION, "question": "secret?"}, headers={"x-secret": "secret"})
    await client.request("SECRET", "/secret?secret=secret")
    await client.get("/livez")
    ours = [record for record in caplog.records if record.name.startswith("mcq_service")]
    lines = [vars(record)["fields"] for record in ours if record.name == "mcq_service.access"]
    assert [(line["method"], line["route"], line["status"], line["key"]) for line in lines] == [
        ("POST", ANSWER, 200, None),
        ("_OTHER", None, 404, None),
    ]
    assert all(line["duration_ms"] > 0 for line in lines)
    assert "secret" not in str([vars(record) for record in ours]).lower()


async def test_a_defect_is_logged_as_500(
    replica: Replica, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The log line is written even if the request raised."""
    caplog.set_level(logging.INFO)
    replica.texts.error = RuntimeError("inner detail")
    replica.load()
    problem(await client.post(ANSWER, json=QUESTION), 500, "internal-error")
    lines = [vars(record)["fields"] for record in caplog.records if record.name == "mcq_service.access"]
    assert [line["status"] for line in lines] == [500]
