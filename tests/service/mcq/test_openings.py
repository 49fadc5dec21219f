"""Context, instructions and examples: what a question's opening changes, and that a batch reads a shared one once."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.service.fakes import ANSWER, ANSWERS, Replica, problem, sample, until
from tests.service.local import local_replica
from tests.service.scripted import ScriptedEngine

from mcq_service.engine import Tokenizer
from mcq_service.mcq.calibration import Calibration, ChoicesCalibration, SecondOrder
from mcq_service.prompts import plain_form

SHORT = {"question": "Which?", "choices": ["one", "two", "three"], "mode": "answer"}
CONTEXT = "~ The tower stands in Paris. " * 20
PLAIN = Calibration(prompt_digest=plain_form(0).digest)


@pytest.fixture
def replica(engine: ScriptedEngine, tokenizer: Tokenizer) -> Iterator[Replica]:
    with local_replica(engine, tokenizer, writes='so it is."') as ready:
        yield ready


def readings(engine: ScriptedEngine, tokenizer: Tokenizer) -> float:
    """Return how many times the engine has read CONTEXT."""
    [mark] = tokenizer.encode_trusted("~")
    return sum(list(tokens).count(mark) for step in engine.steps for tokens in step) / CONTEXT.count("~")


async def results(client: httpx.AsyncClient, questions: list[Any], **fields: Any) -> list[dict[str, Any]]:
    response = await client.post(ANSWERS, json={"questions": questions, **fields})
    assert response.status_code == 200, response.text
    answers: list[dict[str, Any]] = [each["answer"] for each in response.json()["results"]]
    assert all(answers)
    return answers


@pytest.mark.parametrize("limits", [{}, {"max_active": 1}])
@pytest.mark.parametrize(
    ("mode", "debias"),
    [
        ("answer", "none"),
        ("answer", "rotations"),
        ("answer", "prior"),
        ("explain", "none"),
        ("reason", "none"),
    ],
)
async def test_a_batch_reads_its_context_once_for_each_form(
    client: httpx.AsyncClient, replica: Replica, engine: ScriptedEngine, tokenizer: Tokenizer, mode: str,
    debias: str, limits: dict[str, Any],
) -> None:  # fmt: skip
    """Mode explain has two forms; rotations and second orders fork from the context, too."""
    second = ChoicesCalibration(prior={}, second_order=SecondOrder(margin=1))
    replica.load(calibration=PLAIN.model_copy(update={"choices": {3: second}}), **limits)
    questions = [{**SHORT, "question": f"Which of {n}?", "mode": mode, "debias": debias} for n in range(6)]
    questions[3]["choices"] = ["same", "same"]
    body = {"questions": questions, "context": CONTEXT}
    found = (await client.post(ANSWERS, json=body)).json()["results"]
    assert [each["index"] for each in found if each["answer"]] == [0, 1, 2, 4, 5]
    assert readings(engine, tokenizer) == (2 if mode == "explain" else 1)
    first, *others = [each["answer"]["usage"]["cached_tokens"] for each in found if each["answer"]]
    context = len(tokenizer.encode_trusted(CONTEXT))
    assert all(each - first >= context for each in others)
    await until(lambda: engine.open_sequences == 0)


async def test_a_single_question_reads_its_context_once(
    client: httpx.AsyncClient, replica: Replica, engine: ScriptedEngine, tokenizer: Tokenizer
) -> None:
    """Its rotations fork from it."""
    replica.load(calibration=PLAIN)
    body = {**SHORT, "debias": "rotations", "context": CONTEXT}
    assert (await client.post(ANSWER, json=body)).status_code == 200
    assert readings(engine, tokenizer) == 1
    await until(lambda: engine.open_sequences == 0)


async def test_two_requests_do_not_share_a_context(
    client: httpx.AsyncClient, replica: Replica, engine: ScriptedEngine
) -> None:
    """Otherwise `cached_tokens` would tell a client what others ask."""
    replica.load(calibration=PLAIN)
    engine.gate.clear()
    asked = [asyncio.create_task(client.post(ANSWER, json={**SHORT, "context": CONTEXT})) for _ in range(2)]
    await until(lambda: replica.admission.pending == 2)
    engine.gate.set()
    assert {(await each).json()["usage"]["cached_tokens"] for each in asked} == {0}


async def test_a_questions_own_texts_come_before_those_of_its_batch(
    client: httpx.AsyncClient, replica: Replica, engine: ScriptedEngine, tokenizer: Tokenizer
) -> None:
    """An empty list of examples is an own one."""
    replica.load(calibration=PLAIN)
    examples = [{"question": "Which barks?", "choices": ["cat", "dog"], "answer": "B"}]
    questions = [SHORT, {**SHORT, "context": "Own.", "examples": []}, {**SHORT, "instructions": "Mine."}]
    await results(client, questions, context="Shared.", instructions="Ours.", examples=examples)
    example = "Which barks?\nA. cat\nB. dog\nAnswer: B\n\n"
    head = plain_form(0).prefix
    texts = {tokenizer.decode(each.tokens) for each in engine.opened}
    assert f"{head}{example}Ours.\n\nShared.\n\nWhich?\nA. one\nB. two\nC. three\nAnswer:" in texts
    assert f"{head}Ours.\n\nOwn.\n\nWhich?\nA. one\nB. two\nC. three\nAnswer:" in texts
    assert f"{head}{example}Mine.\n\nShared.\n\nWhich?\nA. one\nB. two\nC. three\nAnswer:" in texts


async def test_a_client_that_leaves_frees_the_context(
    client: httpx.AsyncClient, replica: Replica, engine: ScriptedEngine
) -> None:
    replica.load(calibration=PLAIN)
    engine.gate.clear()
    asked = asyncio.create_task(client.post(ANSWERS, json={"questions": [SHORT] * 4, "context": CONTEXT}))
    await until(lambda: engine.steps)
    asked.cancel()
    engine.gate.set()
    await until(lambda: engine.open_sequences == 0 and replica.admission.pending == 0)


@pytest.mark.parametrize(
    ("fields", "pointer", "message"),
    [
        ({"context": " "}, "/context", "must not be blank"),
        ({"context": "x" * 200_001}, "/context", "at most 200000"),
        ({"instructions": ""}, "/instructions", "must not be blank"),
        ({"instructions": "x" * 4_001}, "/instructions", "at most 4000"),
        ({"examples": [{"question": "Q", "choices": ["a", "b"]}]}, "/examples/0/answer", "required"),
        ({"examples": [{"question": "Q", "choices": ["a", "b"], "answer": "C"}]}, "/examples/0", "send one of A, B"),
        ({"examples": [{"question": "Q", "choices": ["a", "a"], "answer": "A"}]}, "/examples/0", "are the same"),
        ({"examples": [{"question": "Q", "choices": ["a", "b"], "answer": "A"}] * 33}, "/examples", "at most 32"),
        ({"context": "long " * 1000}, "/context", "must not be more than 4096"),
    ],
)  # fmt: skip
async def test_openings_that_can_not_be_read_are_refused(
    client: httpx.AsyncClient, replica: Replica, fields: dict[str, Any], pointer: str, message: str
) -> None:
    """The same for a whole batch, except for the size in tokens, which each question has of its own."""
    replica.load()
    body = problem(await client.post(ANSWER, json={**SHORT, **fields}), 422, "invalid-question")
    assert body["errors"][0]["pointer"] == pointer
    assert message in body["errors"][0]["detail"]
    response = await client.post(ANSWERS, json={"questions": [SHORT], **fields})
    if response.status_code == 200:
        assert response.json()["results"][0]["problem"] == body
    else:
        assert problem(response, 422, "invalid-question")["errors"][0]["pointer"] == pointer


async def test_a_shared_context_counts_once_for_the_size_of_a_batch(
    client: httpx.AsyncClient, replica: Replica
) -> None:
    """Own contexts count for each question."""
    replica.load()
    long = "x" * 90_000
    response = await client.post(ANSWERS, json={"questions": [SHORT] * 64, "context": long})
    assert response.status_code == 200  # each result says that the context is too long for the model
    own = [{**SHORT, "context": long} for _ in range(41)]
    assert len(own) * len(long) < 4 * 1024 * 1024
    rotated = [{**each, "debias": "rotations", "choices": ["y" * 3000, "z" * 3000, "o"]} for each in own]
    problem(await client.post(ANSWERS, json={"questions": rotated}), 413, "request-too-large")


async def test_metrics_have_no_text(client: httpx.AsyncClient, replica: Replica) -> None:
    """Neither do spans."""
    replica.load(calibration=PLAIN)
    word = "Sesame"
    fields = {"context": word, "instructions": word}
    await results(client, [SHORT], **fields)
    assert await sample(client, 'mcq_requests_total{mode="answer",outcome="answered"}') == 1
    assert word not in (await client.get("/metrics")).text
    spans = replica.spans.get_finished_spans()
    assert spans
    assert not any(word in each.to_json() for each in spans)
