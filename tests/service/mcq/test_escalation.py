"""Questions below the minimum confidence go to another solver, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.service.fakes import (
    ANSWER,
    ANSWERS,
    QUESTION,
    FakeText,
    FakeTexts,
    Replica,
    problem,
    sample,
    until,
)
from tests.service.local import listening, serving
from tests.service.mcq.test_service import events_of

from mcq_service.engine.remote.server_connection import MAX_RESPONSE_BYTES
from mcq_service.mcq import escalation
from mcq_service.mcq.escalation import Escalation
from mcq_service.prompts import Prompt
from mcq_service.scheduler.service_rate import ServiceRate

MINIMUM = 0.8
OTHER = "Others "


@pytest.fixture
async def other() -> AsyncIterator[Replica]:
    """Yield a replica of a solver that is surer, and chooses C."""
    replica = Replica(FakeTexts(best=2, confidence=0.95, pieces=(OTHER, "say.", '"')))
    replica.load(min_confidence=0.99)
    yield replica
    replica.close()


class Slow:
    """Another solver that fails, but only when told to."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.answer = asyncio.Event()

    async def fail(self, _: Request) -> Response:
        self.asked += 1
        async with asyncio.timeout(20):
            await self.answer.wait()
        return Response(status_code=503)


@asynccontextmanager
async def escalating(
    replica: Replica, url: str, *, key_file: Path | None = None, **options: Any
) -> AsyncIterator[None]:
    other = Escalation(url, key_file=key_file)
    replica.load(min_confidence=MINIMUM, escalation=other, **options)
    try:
        yield
    finally:
        await other.close()


async def test_another_solver_answers_what_the_first_model_is_unsure_of(
    replica: Replica, client: httpx.AsyncClient, other: Replica
) -> None:
    """The answer says who answered, and why; its tokens are those of both models."""
    async with listening(other) as url, escalating(replica, url):
        answer = (await client.post(ANSWER, json=QUESTION)).json()
    assert (answer["answer"]["label"], answer["abstained"], answer["reasoning"]) == (
        "C",
        False,
        "Others say.",
    )
    assert answer["escalation"] == {
        "answered_by": url,
        "first_model": "fake/model",
        "first_label": "B",
        "first_confidence": pytest.approx(0.7),
    }
    assert answer["usage"] == {"prompt_tokens": 60, "completion_tokens": 3, "cached_tokens": 40}
    timings = answer["timings"]
    assert 0 <= timings["queue_ms"] <= timings["answer_ms"] <= timings["total_ms"]
    assert replica.texts.decoded == 0, "the first model must not write a reasoning that nobody reads"
    assert await sample(client, 'mcq_escalations_total{outcome="answered"}') == 1
    for answerer, confidence in {"first": 0.7, "other": 0.95}.items():
        total = await sample(client, f'mcq_escalation_confidence_sum{{answerer="{answerer}"}}')
        assert total == pytest.approx(confidence)
    assert await sample(client, 'mcq_tokens_total{type="prompt"}') == 30, "the other solver counts its own"


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("answer", ["answer", "done"]),
        ("explain", ["answer", "reasoning", "done"]),
        ("reason", ["reasoning", "answer", "done"]),
    ],
)
async def test_a_stream_has_only_the_other_solvers_events(
    replica: Replica, client: httpx.AsyncClient, other: Replica, mode: str, names: list[str]
) -> None:
    """In mode reason, the first model's reasoning comes before its confidence is known."""
    async with listening(other) as url, escalating(replica, url):
        response = await client.post(ANSWER, json={**QUESTION, "stream": True, "mode": mode})
        events = events_of(response.text)
    assert [name for name, _ in events] == names
    done = events[-1][1]
    assert "Because" not in response.text
    for name, data in events[:-1]:
        assert data == ({"delta": "Others say."} if name == "reasoning" else data)
        assert data.items() <= done.items() or name == "reasoning"
    assert done["escalation"]["first_label"] == "B"


async def test_a_sure_answer_is_the_first_models(
    replica: Replica, client: httpx.AsyncClient, other: Replica
) -> None:
    """The stream is as without escalation, in mode reason too."""
    replica.texts.confidence = 0.9
    async with listening(other) as url, escalating(replica, url):
        response = await client.post(ANSWER, json={**QUESTION, "stream": True, "mode": "reason"})
    assert [name for name, _ in events_of(response.text)] == ["reasoning", "reasoning", "answer", "done"]
    assert "escalation" not in response.text
    assert other.texts.read == []


async def test_a_batch_escalates_question_by_question(
    replica: Replica, client: httpx.AsyncClient, other: Replica
) -> None:
    """A question with a lower minimum of its own stays here; with select all the first label is null."""
    questions = [{**QUESTION, "min_confidence": 0.5}, QUESTION, {**QUESTION, "select": "all"}]
    async with listening(other) as url, escalating(replica, url):
        results = (await client.post(ANSWERS, json={"questions": questions})).json()["results"]
    escalations = [each["answer"].get("escalation") for each in results]
    assert escalations[0] is None
    assert (escalations[1]["first_label"], escalations[2]["first_label"]) == ("B", None)


async def test_the_minimum_holds_for_the_other_solver_too(
    replica: Replica, client: httpx.AsyncClient, other: Replica
) -> None:
    """It abstains by the minimum of the first solver or the request, not by its own."""
    async with listening(other) as url, escalating(replica, url):
        answer = (await client.post(ANSWER, json={**QUESTION, "min_confidence": 0.97})).json()
    assert (answer["answer"], answer["abstained"], answer["confidence"]) == (None, True, pytest.approx(0.95))
    assert await sample(client, 'mcq_escalations_total{outcome="abstained"}') == 1


async def test_solvers_that_escalate_to_each_other_end_after_one_step(
    replica: Replica, client: httpx.AsyncClient, other: Replica
) -> None:
    """The other solver abstains instead of asking back."""
    other.texts.confidence = 0.75
    async with (
        listening(replica) as back, listening(other) as url, escalating(replica, url), escalating(other, back)
    ):  # fmt: skip
        answer = (await client.post(ANSWER, json=QUESTION)).json()
    assert (answer["abstained"], answer["escalation"]["answered_by"]) == (True, url)
    assert (len(replica.texts.read), len(other.texts.read)) == (1, 1)


@pytest.mark.parametrize("path", [ANSWER, ANSWERS])
async def test_a_client_can_forbid_the_escalation(
    replica: Replica, client: httpx.AsyncClient, other: Replica, path: str
) -> None:
    """Exams do: they measure the model itself."""
    body = QUESTION if path == ANSWER else {"questions": [QUESTION]}
    async with listening(other) as url, escalating(replica, url):
        response = await client.post(path, json=body, headers={"MCQ-Escalation": "none"})
        assert '"abstained":true' in response.text
        bad = await client.post(path, json=body, headers={"MCQ-Escalation": "maybe"})
    problem(bad, 422, "invalid-question")
    assert "Send none in the header MCQ-Escalation" in bad.json()["detail"]
    assert other.texts.read == []


async def garbage(_: Request) -> Response:
    return JSONResponse({"answer": "C"})


async def busy(_: Request) -> Response:
    return Response(status_code=429)


async def silent(_: Request) -> Response:
    await asyncio.sleep(60)
    return Response()


async def too_long(_: Request) -> Response:
    return Response(b" " * (MAX_RESPONSE_BYTES + 1))


@pytest.mark.parametrize("endpoint", [garbage, busy, silent, too_long, None])
async def test_without_the_other_solver_the_first_one_abstains(
    replica: Replica, client: httpx.AsyncClient, endpoint: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is as complete as without escalation, and the log names the failure but not the question."""
    app = Starlette(routes=[Route(ANSWER, endpoint, methods=["POST"])] if endpoint else [])
    async with serving(app) as url:
        unreachable = "http://127.0.0.1:9"
        deadline = 1 if endpoint is silent else 30
        async with escalating(replica, url if endpoint else unreachable, deadline_seconds=deadline):
            answer = (await client.post(ANSWER, json=QUESTION)).json()
    assert (answer["answer"], answer["abstained"], answer["reasoning"]) == (None, True, "Because so.")
    assert "escalation" not in answer
    assert answer["usage"]["prompt_tokens"] == 60, "the question was read twice"
    assert await sample(client, 'mcq_escalations_total{outcome="failed"}') == 1
    assert (url if endpoint else unreachable) in caplog.text
    assert QUESTION["question"] not in caplog.text


async def test_the_other_solver_gets_its_key_and_the_trace(
    replica: Replica, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """A changed key is used at once; without the file, the first solver abstains."""
    seen: list[tuple[str | None, str | None, dict[str, Any]]] = []

    async def remember(request: Request) -> Response:
        seen.append(
            (request.headers.get("authorization"), request.headers.get("traceparent"), await request.json())
        )
        return Response(status_code=403)

    key = tmp_path / "key"
    key.write_text("first\n")
    app = Starlette(routes=[Route(ANSWER, remember, methods=["POST"])])
    async with serving(app) as url, escalating(replica, url, key_file=key):
        await client.post(ANSWER, json={**QUESTION, "stream": True})
        key.write_text("second")
        trace_id = (await client.post(ANSWER, json=QUESTION)).json()["trace_id"]
        key.unlink()
        await client.post(ANSWER, json=QUESTION)
    assert [authorization for authorization, _, _ in seen] == ["Bearer first", "Bearer second"]
    assert trace_id in str(seen[1][1])
    options = {"mode": "explain", "max_reasoning_tokens": 8, "min_confidence": MINIMUM}
    assert seen[0][2] == {**QUESTION, **options, "select": "one", "none_of_these": False}
    assert await sample(client, 'mcq_escalations_total{outcome="failed"}') == 3


async def test_the_test_question_is_never_escalated(
    replica: Replica, client: httpx.AsyncClient, other: Replica
) -> None:
    """It shows whether this replica answers."""
    async with listening(other) as url, escalating(replica, url):
        response = await client.get("/answerz")
    assert response.status_code == 200, json.dumps(response.json())
    assert other.texts.read == []


@pytest.fixture
async def slow() -> AsyncIterator[Slow]:
    """Yield another solver that answers when told to."""
    slow = Slow()
    async with serving(Starlette(routes=[Route(ANSWER, slow.fail, methods=["POST"])])) as url:
        slow.url = url
        yield slow


async def test_a_drain_waits_for_questions_that_another_solver_answers(
    replica: Replica, client: httpx.AsyncClient, slow: Slow
) -> None:
    """They hold no slot meanwhile. If the other solver fails, the draining replica still abstains."""
    async with escalating(replica, slow.url):
        asked = asyncio.create_task(client.post(ANSWER, json=QUESTION))
        await until(lambda: slow.asked)
        assert replica.admission.pending == 0
        assert not await replica.admission.drain(seconds=0.05)
        slow.answer.set()
        answer = (await asked).json()
        assert (answer["abstained"], answer["reasoning"]) == (True, "Because so.")
        assert await replica.admission.drain(seconds=5)


async def test_an_admitted_question_is_not_refused_when_it_is_read_again(
    replica: Replica, client: httpx.AsyncClient, slow: Slow
) -> None:
    """The queue may have filled up meanwhile."""
    async with escalating(replica, slow.url, max_queued=1):
        asked = asyncio.create_task(client.post(ANSWER, json=QUESTION))
        await until(lambda: slow.asked)
        with replica.admission.admit(1, writes=False) as slot:
            slot.watch(FakeText(replica.texts, Prompt("", "", "", "")))
            slow.answer.set()
            assert (await asked).status_code == 200


@pytest.mark.parametrize("select", ["one", "all"])
async def test_the_other_solvers_time_is_no_time_in_the_queue(
    replica: Replica, client: httpx.AsyncClient, slow: Slow, select: str
) -> None:
    """The wait in the queue ends with the first reading; the answer waits for the second one."""
    seconds = 100.0

    def clock() -> float:
        return seconds

    replica.texts.clock = clock
    async with escalating(replica, slow.url, clock=clock):
        asked = asyncio.create_task(client.post(ANSWER, json={**QUESTION, "select": select}))
        await until(lambda: slow.asked)
        seconds += 5
        slow.answer.set()
        timings = (await asked).json()["timings"]
    assert timings == {"queue_ms": 0, "answer_ms": 5000, "total_ms": 5000}


async def test_without_reasoning_the_question_is_not_read_again(
    replica: Replica, client: httpx.AsyncClient, slow: Slow
) -> None:
    """The abstention is known."""
    slow.answer.set()
    async with escalating(replica, slow.url):
        response = await client.post(ANSWER, json={**QUESTION, "mode": "answer", "stream": True})
        [(_, decision), (_, done)] = events_of(response.text)
    assert (decision["abstained"], done["abstained"], done["answer"]) == (True, True, None)
    assert len(replica.texts.read) == 1
    assert done["usage"]["prompt_tokens"] == 30


async def test_a_turn_that_ends_unsure_counts_for_the_service_rate(
    replica: Replica, client: httpx.AsyncClient, other: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the replica would seem slow and refuse too early."""
    ended: list[bool] = []
    monkeypatch.setattr(ServiceRate, "ended", lambda _, *, others_wait: ended.append(others_wait))
    async with listening(other) as url, escalating(replica, url):
        await client.post(ANSWER, json=QUESTION)
    assert len(ended) == 2, "one for each solver"


async def test_only_so_many_questions_wait_for_the_other_solver(
    replica: Replica, client: httpx.AsyncClient, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service abstains from the others at once."""
    monkeypatch.setattr(escalation, "MAX_WAITING", 2)
    question = {**QUESTION, "mode": "answer"}
    async with escalating(replica, slow.url, max_queued=64):
        asked = [
            asyncio.create_task(client.post(ANSWER, json=question)) for _ in range(escalation.MAX_AT_ONCE + 2)
        ]
        await until(lambda: slow.asked == escalation.MAX_AT_ONCE)
        assert (await client.post(ANSWER, json=question)).json()["abstained"]
        slow.answer.set()
        assert {(await each).status_code for each in asked} == {200}
    assert slow.asked == escalation.MAX_AT_ONCE + 2


@pytest.mark.parametrize("content", [b"sk-\xc3\xa4", b"\xff\xfe", b"two words", b"", None])
async def test_an_unusable_key_makes_the_service_abstain(
    replica: Replica, client: httpx.AsyncClient, tmp_path: Path, content: bytes | None,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The log says why, without the key."""
    key = tmp_path / "key"
    if content is not None:
        key.write_bytes(content)
    async with escalating(replica, "http://127.0.0.1:9", key_file=key):
        answer = (await client.post(ANSWER, json=QUESTION)).json()
    assert answer["abstained"]
    assert "The API key for http://127.0.0.1:9 can't be read" in caplog.text
    assert "sk-" not in caplog.text
