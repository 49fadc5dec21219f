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
from tests.service.fakes import ANSWER, ANSWERS, QUESTION, FakeTexts, Replica, problem, sample
from tests.service.local import listening, serving
from tests.service.mcq.test_service import events_of

from mcq_service.mcq.escalation import Escalation

MINIMUM = 0.8
OTHER = "Others "


@pytest.fixture
async def other() -> AsyncIterator[Replica]:
    """Yield a replica of a solver that is surer, and chooses C."""
    replica = Replica(FakeTexts(best=2, confidence=0.95, pieces=(OTHER, "say.", '"')))
    replica.load(min_confidence=0.99)
    yield replica
    replica.close()


@asynccontextmanager
async def escalating(
    replica: Replica, url: str, *, key_file: Path | None = None, seconds: float = 10
) -> AsyncIterator[None]:
    escalation = Escalation(url, key_file=key_file, timeout_seconds=seconds)
    replica.load(min_confidence=MINIMUM, escalation=escalation)
    try:
        yield
    finally:
        await escalation.close()


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


@pytest.mark.parametrize("endpoint", [garbage, busy, silent, None])
async def test_without_the_other_solver_the_first_one_abstains(
    replica: Replica, client: httpx.AsyncClient, endpoint: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is as complete as without escalation, and the log names the failure but not the question."""
    app = Starlette(routes=[Route(ANSWER, endpoint, methods=["POST"])] if endpoint else [])
    async with serving(app) as url:
        unreachable = "http://127.0.0.1:9"
        seconds = 0.2 if endpoint is silent else 10
        async with escalating(replica, url if endpoint else unreachable, seconds=seconds):
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
