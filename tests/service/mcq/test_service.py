"""The MCQ use case over HTTP with a scripted engine: modes, streams, batches, abstention and debiasing."""

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from tests.service.fakes import ANSWER, ANSWERS, QUESTION, FakeText, FakeTexts, Replica, sample, until

from mcq_service.api.mcq.answer_schemas import Answer
from mcq_service.api.mcq.choices import Option
from mcq_service.engine import EngineFailed
from mcq_service.mcq.calibration import Calibration, ChoicesCalibration, SecondOrder
from mcq_service.mcq.decision import decide
from mcq_service.mcq.probabilities import mean_by_choice, rotations, softmax
from mcq_service.prompts import CHATML, Prompt, plain_form

Events = list[tuple[str, dict[str, Any]]]


def events_of(text: str) -> Events:
    """Return the events of a stream as (name, data)."""
    blocks = [block.split("\n") for block in text.removesuffix("\n\n").split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


async def streamed(client: httpx.AsyncClient, **fields: Any) -> Events:
    response = await client.post(ANSWER, json={**QUESTION, "stream": True, **fields})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return events_of(response.text)


async def test_mode_explain_streams_the_answer_first_and_then_its_reasoning(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """The deltas join to the reasoning, and the last event is the whole answer."""
    replica.load()
    events = await streamed(client, mode="explain")
    assert [name for name, _ in events] == ["answer", "reasoning", "reasoning", "done"]
    decision, done = events[0][1], events[-1][1]
    assert decision["answer"]["label"] == "B"
    assert "reasoning" not in decision
    assert (
        "".join(data["delta"] for name, data in events if name == "reasoning")
        == done["reasoning"]
        == "Because so."
    )
    assert decision.items() <= done.items()
    Answer.model_validate(done)
    assert replica.texts.forced == [' B\nreasoning: "']


async def test_mode_reason_reasons_first(replica: Replica, client: httpx.AsyncClient) -> None:
    """The answer is scored after the reasoning and its forced closing quote."""
    replica.load()
    events = await streamed(client, mode="reason")
    assert [name for name, _ in events] == ["reasoning", "reasoning", "answer", "done"]
    assert events[-1][1]["reasoning"] == "Because so."
    assert replica.texts.forced == ['"\nanswer:']
    assert replica.texts.read[0].suffix.endswith('reasoning: "')


@pytest.mark.parametrize(
    ("pieces", "forced"),
    [(['It is so."'], '"\nanswer:'), (['It is so"', "\n"], "\nanswer:"), (["It is so"], '"\nanswer:')],
)
async def test_the_prompt_gets_the_closing_quote_once(
    replica: Replica, client: httpx.AsyncClient, pieces: list[str], forced: str
) -> None:
    """A quote before the end of a sentence is a part of the text; if the line ends there, it was the closing one."""
    replica.texts.pieces = pieces
    replica.load()
    await client.post(ANSWER, json={**QUESTION, "mode": "reason"})
    assert replica.texts.forced == [forced]


async def test_the_accept_header_can_ask_for_a_stream(replica: Replica, client: httpx.AsyncClient) -> None:
    """In mode answer there is no reasoning event."""
    replica.load()
    headers = {"Accept": "text/event-stream"}
    response = await client.post(ANSWER, json={**QUESTION, "mode": "answer"}, headers=headers)
    assert [name for name, _ in events_of(response.text)] == ["answer", "done"]


async def test_a_failure_before_the_stream_is_a_plain_problem(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """It has its own status, so a client need not read a stream."""
    replica.texts.error = EngineFailed("The engine's server can't be reached.")
    replica.load()
    response = await client.post(ANSWER, json={**QUESTION, "stream": True})
    assert (response.status_code, response.headers["content-type"]) == (502, "application/problem+json")
    assert response.json()["detail"] == "The engine's server can't be reached."


async def test_a_failure_in_the_stream_is_its_last_event(replica: Replica, client: httpx.AsyncClient) -> None:
    """It is counted and shows no internals."""
    replica.texts.fails_after = 1
    replica.load()
    events = await streamed(client)
    assert [name for name, _ in events] == ["answer", "reasoning", "problem"]
    assert events[-1][1]["status"] == 500
    assert "inner" not in str(events)
    assert await sample(client, 'mcq_requests_total{mode="explain",outcome="internal-error"}') == 1
    assert replica.texts.open_texts == 0


async def test_a_deadline_in_a_stream_is_its_last_event(replica: Replica, client: httpx.AsyncClient) -> None:
    """The client has the answer by then."""
    replica.load(deadline_seconds=0.2)
    replica.texts.pieces = ["more "] * 8
    stuck = replica.texts.step

    async def step() -> None:
        await (asyncio.sleep(10) if replica.texts.decoded == 2 else stuck())

    replica.texts.step = step
    events = await streamed(client)
    assert [name for name, _ in events] == ["answer", "reasoning", "reasoning", "problem"]
    assert events[-1][1]["type"].endswith("/deadline-exceeded")


async def test_the_service_abstains_below_the_minimum_confidence(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """The answer still has its probabilities; a request's own minimum overrides the service's."""
    replica.load(min_confidence=0.8)
    body = (await client.post(ANSWER, json={**QUESTION, "mode": "answer"})).json()
    assert (body["answer"], body["abstained"]) == (None, True)
    assert body["confidence"] == pytest.approx(0.7)
    assert len(body["probabilities"]) == 3
    body = (await client.post(ANSWER, json={**QUESTION, "mode": "answer", "min_confidence": 0.6})).json()
    assert (body["answer"]["label"], body["abstained"]) == ("B", False)


class Biased(FakeTexts):
    """Prefers the letter A by a factor of 8, and scores "apple" 4 times as likely as others.

    `scored` are the choices of each prompt.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.scored: list[str] = []

    def text(self, prompt: Prompt) -> FakeText:
        return BiasedText(self, prompt)


class BiasedText(FakeText):
    async def score_labels(self, labels: Sequence[str]) -> list[float]:
        lines = self._prompt.choices.splitlines()
        self._texts.scored.append(self._prompt.choices)  # type: ignore[attr-defined]
        weights = [
            (4.0 if line.endswith("apple") else 1.0) * (8.0 if line.startswith("A") else 1.0)
            for line in lines
        ]
        return [math.log(weight / sum(weights)) for weight in weights]


async def test_rotations_cancel_a_preferred_letter(client: httpx.AsyncClient, replica: Replica) -> None:
    """In its own order alone the model is wrong; over all rotations its preference for a letter cancels out."""
    replica.texts = Biased()
    replica.load()
    question = {**QUESTION, "mode": "answer"}
    assert (await client.post(ANSWER, json=question)).json()["answer"]["label"] == "A"
    body = (await client.post(ANSWER, json={**question, "debias": "rotations"})).json()
    assert body["answer"]["text"] == "apple"
    assert [each["probability"] for each in body["probabilities"]] == pytest.approx([1 / 6, 4 / 6, 1 / 6])
    assert body["usage"] == {"prompt_tokens": 90, "completion_tokens": 0, "cached_tokens": 65}


def calibrated(**fields: Any) -> Calibration:
    """Return a calibration for three choices."""
    measured = ChoicesCalibration(prior=dict.fromkeys("ABC", 1 / 3), **fields)
    return Calibration(choices={3: measured}, prompt_digest=plain_form(5).digest)


async def test_an_uncertain_question_is_asked_in_a_second_order(
    client: httpx.AsyncClient, replica: Replica
) -> None:
    """As A, the wrong choice scores twice as high as the right one; in the second order it is not A."""
    replica.texts = texts = Biased()
    replica.load(debias="prior", calibration=calibrated(second_order=SecondOrder(margin=0.5)))
    question = {**QUESTION, "mode": "answer"}
    body = (await client.post(ANSWER, json=question)).json()
    assert body["answer"]["text"] == "apple"
    assert texts.scored == ["A. stone\nB. apple\nC. car", "A. apple\nB. car\nC. stone"]
    assert body["usage"]["prompt_tokens"] == 60


@pytest.mark.parametrize(
    ("fields", "margin"), [({}, 0.1), ({"debias": "none"}, 0.5), ({"debias": "rotations"}, 0.5)]
)
async def test_clear_questions_and_other_modes_or_debiasing_need_no_second_order(
    client: httpx.AsyncClient, replica: Replica, fields: dict[str, str], margin: float
) -> None:
    """Its own order leaves a margin of 4/13."""
    replica.texts = texts = Biased()
    replica.load(debias="prior", calibration=calibrated(second_order=SecondOrder(margin=margin)))
    body = (await client.post(ANSWER, json={**QUESTION, "mode": "answer", **fields})).json()
    rotated = fields.get("debias") == "rotations"
    assert body["answer"]["text"] == ("apple" if rotated else "stone")
    assert len(texts.scored) == (3 if rotated else 1)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_by_a_letter_alone_is_explained_in_its_own_text(
    client: httpx.AsyncClient, replica: Replica, stream: bool
) -> None:
    """The answer is the same as without reasoning; the prompt for the explanation has examples of reasoning."""
    replica.load(debias="prior", calibration=calibrated())
    if stream:
        events = await streamed(client, mode="explain")
        assert [name for name, _ in events] == ["answer", "reasoning", "reasoning", "done"]
        body = events[-1][1]
    else:
        body = (await client.post(ANSWER, json=QUESTION)).json()
    assert (body["answer"]["label"], body["reasoning"]) == ("B", "Because so.")
    assert [each.prefix for each in replica.texts.read] == [plain_form(5).prefix, CHATML.answer_first.prefix]
    assert replica.texts.forced == [' B\nreasoning: "']
    assert body["usage"] == {"prompt_tokens": 60, "completion_tokens": 3, "cached_tokens": 40}
    assert replica.texts.open_texts == 0


async def test_reasoning_first_has_its_own_prompt_whatever_the_calibration(
    client: httpx.AsyncClient, replica: Replica
) -> None:
    replica.load(debias="prior", calibration=calibrated(temperature=9))
    body = (await client.post(ANSWER, json={**QUESTION, "mode": "reason"})).json()
    assert [each.prefix for each in replica.texts.read] == [CHATML.reasoning_first.prefix]
    assert body["confidence"] == pytest.approx(0.7)


async def test_a_batch_is_answered_in_its_order(replica: Replica, client: httpx.AsyncClient) -> None:
    """A question that can't be answered has its own problem, and the others have answers."""
    replica.load(max_queued=256)
    replica.texts.pieces = ["x" * 3]
    questions = [{**QUESTION, "question": f"Which of {number}?", "mode": "answer"} for number in range(256)]
    body = (await client.post(ANSWERS, json={"questions": questions})).json()
    assert [each["index"] for each in body["results"]] == list(range(256))
    assert all(
        each["answer"]["answer"]["label"] == "B" and each["problem"] is None for each in body["results"]
    )
    assert {prompt.stem for prompt in replica.texts.read} == {
        f"Which of {number}?\n\n" for number in range(256)
    }


async def test_a_defect_in_one_question_is_that_questions_problem(
    replica: Replica, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The other questions of the batch are answered; the log has the details and the client gets none."""
    replica.load()
    replica.texts.broken = "What?"
    questions = [QUESTION, {**QUESTION, "question": "What?"}, QUESTION]
    response = await client.post(ANSWERS, json={"questions": questions})
    first, bad, last = response.json()["results"]
    assert first["answer"]
    assert last["answer"]
    assert (bad["index"], bad["answer"], bad["problem"]["status"]) == (1, None, 500)
    assert "inner detail" not in response.text
    assert "inner detail" in caplog.text
    assert await sample(client, 'mcq_requests_total{mode="explain",outcome="internal-error"}') == 1


@pytest.mark.parametrize("error", [MemoryError("There is no memory"), RuntimeError("can't start new thread")])
async def test_no_memory_is_503_with_the_time_to_wait(
    replica: Replica, client: httpx.AsyncClient, error: Exception
) -> None:
    """A whole response, an event of a stream and a batch report it as overload and not as a defect."""
    replica.load()
    replica.texts.error = error
    for stream in (False, True):
        response = await client.post(ANSWER, json={**QUESTION, "stream": stream})
        assert (response.status_code, response.json()["type"].rpartition("/")[2]) == (503, "out-of-memory")
        assert int(response.headers["retry-after"]) >= 1
    [result] = (await client.post(ANSWERS, json={"questions": [QUESTION]})).json()["results"]
    assert (result["problem"]["status"], result["answer"]) == (503, None)
    replica.texts.error, replica.texts.fails_after, replica.texts.failure = None, 1, error
    events = await streamed(client)
    assert [name for name, _ in events] == ["answer", "reasoning", "problem"]
    assert events[-1][1]["status"] == 503
    assert await sample(client, 'mcq_requests_total{mode="explain",outcome="out-of-memory"}') == 4


async def test_a_batch_is_one_request_of_the_queue(replica: Replica, client: httpx.AsyncClient) -> None:
    """A large batch is answered completely, and others are admitted beside it."""
    replica.texts.gate.clear()
    replica.load(max_queued=4, max_active=1)
    batch = asyncio.create_task(client.post(ANSWERS, json={"questions": [QUESTION] * 10}))
    await until(lambda: replica.admission.pending == 2)
    others = [asyncio.create_task(client.post(ANSWER, json=QUESTION)) for _ in range(3)]
    await until(lambda: replica.admission.pending == 5)
    assert (await client.post(ANSWER, json=QUESTION)).status_code == 429
    replica.texts.gate.set()
    assert [response.status_code for response in await asyncio.gather(*others)] == [200] * 3
    assert all(each["answer"] for each in (await batch).json()["results"])


@pytest.mark.parametrize("mode", ["answer", "explain"])
async def test_batches_sent_together_are_answered_whole(
    replica: Replica, client: httpx.AsyncClient, mode: str
) -> None:
    """Four batches of 64 questions arrive at 8 places in the queue, with single questions beside them."""
    replica.load(max_queued=8, max_active=2)
    body = {"questions": [{**QUESTION, "mode": mode}] * 64}
    batches = [asyncio.create_task(client.post(ANSWERS, json=body)) for _ in range(4)]
    singles = [await client.post(ANSWER, json=QUESTION) for _ in range(20)]
    assert {response.status_code for response in singles} == {200}
    for response in await asyncio.gather(*batches):
        results = response.json()["results"]
        assert [each["index"] for each in results if each["answer"]] == list(range(64))


async def test_a_single_question_waits_for_one_of_each_batch_at_most(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """The next question of each batch waits as long: batches and questions take turns."""
    replica.texts.gate.clear()
    replica.load(max_active=1)

    def batch(name: str) -> Any:
        questions = [{**QUESTION, "question": f"{name}{number}"} for number in range(5)]
        return client.post(ANSWERS, json={"questions": questions})

    first = asyncio.create_task(batch("a"))
    await until(lambda: replica.texts.read and replica.admission.pending == 2)
    second = asyncio.create_task(batch("b"))
    await until(lambda: replica.admission.pending == 3)
    single = asyncio.create_task(client.post(ANSWER, json={**QUESTION, "question": "single"}))
    await until(lambda: replica.admission.pending == 4)
    replica.texts.gate.set()
    await asyncio.gather(first, second, single)
    order = [prompt.stem.strip() for prompt in replica.texts.read]
    assert order[:4] == ["a0", "a1", "b0", "single"]
    assert order[4:8] in (["a2", "b1", "a3", "b2"], ["b1", "a2", "b2", "a3"])


async def test_a_batch_is_refused_as_a_whole_if_the_queue_is_full(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """The refusal says how long to wait; one question runs and two may wait."""
    replica.texts.gate.clear()
    replica.load(max_queued=2, max_active=1)
    others = [asyncio.create_task(client.post(ANSWER, json=QUESTION))]
    await until(lambda: replica.texts.read)  # from then on the question does not count as queued
    others += [asyncio.create_task(client.post(ANSWER, json=QUESTION)) for _ in range(2)]
    await until(lambda: replica.admission.pending == 3)
    response = await client.post(ANSWERS, json={"questions": [QUESTION] * 2})
    replica.texts.gate.set()
    assert (response.status_code, response.json()["type"].rpartition("/")[2]) == (429, "overloaded")
    assert int(response.headers["retry-after"]) >= 1
    assert [each.status_code for each in await asyncio.gather(*others)] == [200] * 3


async def test_a_batch_during_the_drain_has_the_answers_that_had_started(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """Each later question has a problem, so that the response is in time."""
    replica.texts.gate.clear()
    replica.load(max_active=1)
    batch = asyncio.create_task(client.post(ANSWERS, json={"questions": [QUESTION] * 5}))
    await until(lambda: replica.texts.read and replica.admission.pending == 2)
    draining = asyncio.create_task(replica.lifecycle.drain(seconds=10))
    await asyncio.sleep(0)
    replica.texts.gate.set()
    results = (await batch).json()["results"]
    assert [each["problem"] and each["problem"]["status"] for each in results] == [None, None, 503, 503, 503]
    assert await draining


async def test_a_batch_has_a_limit_of_work(replica: Replica, client: httpx.AsyncClient) -> None:
    """The limit counts characters once per reading, so only rotations can exceed it."""
    replica.load()
    choices = [f"{number}" + "x" * 700 for number in range(26)]
    questions = [{**QUESTION, "choices": choices, "mode": "answer"}] * 12
    assert (await client.post(ANSWERS, json={"questions": questions})).status_code == 200
    replica.texts.read.clear()
    rotated = [{**each, "debias": "rotations"} for each in questions]
    response = await client.post(ANSWERS, json={"questions": rotated})
    assert (response.status_code, response.json()["type"].rpartition("/")[2]) == (413, "request-too-large")
    assert "4194304" in response.json()["detail"]
    assert replica.texts.read == []
    assert (await client.post(ANSWERS, json={"questions": rotated[:8]})).status_code == 200


@pytest.mark.parametrize("count", [0, 257])
async def test_a_batch_has_one_to_256_questions(
    replica: Replica, client: httpx.AsyncClient, count: int
) -> None:
    """A larger batch is refused as a whole, before any computation."""
    replica.load()
    response = await client.post(ANSWERS, json={"questions": [QUESTION] * count})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/questions")
    assert replica.texts.read == []


@pytest.mark.parametrize(
    "bad",
    [
        {**QUESTION, "choices": ["x"]},
        {**QUESTION, "choices": ["x", "x"]},
        {**QUESTION, "choices": {"A": "x", "b": "y"}},
        {**QUESTION, "question": " ", "mode": "guess"},
        {**QUESTION, "question": "x" * 20_001},
        {"choices": ["x", "y"]},
        {**QUESTION, "colour": "red"},
    ],
)
async def test_a_malformed_question_of_a_batch_has_the_same_problem_as_alone(
    replica: Replica, client: httpx.AsyncClient, bad: dict[str, Any]
) -> None:
    """The problem is at the question's place, and the other questions are answered."""
    replica.load()
    alone = await client.post(ANSWER, json=bad)
    assert alone.status_code == 422
    response = await client.post(ANSWERS, json={"questions": [QUESTION, bad, QUESTION]})
    assert response.status_code == 200
    first, result, last = response.json()["results"]
    assert first["answer"]
    assert last["answer"]
    assert result == {"index": 1, "answer": None, "problem": alone.json()}
    assert await sample(client, 'mcq_requests_total{mode="unknown",outcome="invalid-question"}') == 2


async def test_an_item_that_is_not_a_question_does_not_spoil_a_batch(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """Each of these items has its own problem."""
    replica.load()
    response = await client.post(ANSWERS, json={"questions": [None, 3, [], QUESTION]})
    problems = [each["problem"] and each["problem"]["status"] for each in response.json()["results"]]
    assert problems == [422, 422, 422, None]


@pytest.mark.parametrize("count", range(2, 27))
def test_rotations_give_each_choice_each_letter_once(count: int) -> None:
    """So the letters' prior cancels out."""
    orders = rotations(count)
    assert orders[0] == list(range(count))
    for letter in range(count):
        assert sorted(order[letter] for order in orders) == list(range(count))
    by_choice = [math.log(1 + choice) for choice in range(count)]
    by_letter = [0.3 * letter for letter in range(count)]
    scores = [
        [by_choice[choice] + by_letter[letter] for letter, choice in enumerate(order)] for order in orders
    ]
    assert softmax(mean_by_choice(scores, orders)) == pytest.approx(softmax(by_choice))


def test_a_tie_goes_to_the_first_and_has_no_margin() -> None:
    """It answers if it is confident enough."""
    options = [Option("X", "one"), Option("Y", "two")]
    decided = decide(options, [0.5, 0.5], min_confidence=0.5)
    assert decided.answer is not None
    assert (decided.answer.label, decided.margin, decided.abstained) == ("X", 0, False)
    assert decide(options, [0.5, 0.5], min_confidence=0.51).answer is None
