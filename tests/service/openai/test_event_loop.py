"""Work that grows with a request's size does not run on the event loop."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Sequence
from textwrap import dedent
from typing import Any

import httpx
import pytest
from tests.service.fakes import ANSWER, ANSWERS, QUESTION, Replica

from mcq_service.api.mcq.question_schemas import Question
from mcq_service.engine import Tokenizer
from mcq_service.openai import chat, completions, detokenizer, generation
from mcq_service.prompts import CHATML, ChatTemplate, Turn, mcq_prompt
from mcq_service.prompts.threads import executor

LONG = ("why? " * 100).strip()
LONG_QUESTION = {**QUESTION, "question": LONG}
CODE = " if a:\n     b()"
CODE_CHOICES = [f"{CODE}\n {each}" for each in range(3)]
EXAMPLE = {"question": CODE, "choices": ["a", "b"], "answer": "A"}


@pytest.fixture
def threads(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names of the threads that tokenised long texts."""
    names: set[str] = set()

    def watch(name: str) -> None:
        original = getattr(tokenizer, name)

        def encode(text: str) -> Any:
            if LONG in text:
                names.add(threading.current_thread().name)
            return original(text)

        monkeypatch.setattr(tokenizer, name, encode)

    watch("encode_trusted")
    watch("encode_untrusted")
    return names


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ANSWER, {**LONG_QUESTION, "mode": "answer"}),
        (ANSWER, {**LONG_QUESTION, "mode": "explain", "stream": True}),
        (ANSWER, {**LONG_QUESTION, "mode": "answer", "debias": "rotations"}),
        (ANSWER, {**QUESTION, "choices": [LONG, "b"], "mode": "answer", "debias": "rotations"}),
        (ANSWERS, {"questions": [{**LONG_QUESTION, "mode": "reason"}] * 3}),
        ("/v1/completions", {"prompt": [LONG, LONG], "max_tokens": 1}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": LONG}], "max_tokens": 1}),
    ],
)
async def test_every_surface_tokenises_in_two_threads(
    client: httpx.AsyncClient, threads: set[str], path: str, body: dict[str, Any]
) -> None:
    """Tokenising comes before admission. With a thread for each request it would take the engine's CPUs."""
    responses = await asyncio.gather(*[client.post(path, json=body) for _ in range(6)])
    # Some may be refused: by then the service knows that six long prompts take too long.
    assert any(each.is_success for each in responses), responses[0].text
    assert threads
    assert threads <= {"prompt_0", "prompt_1"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ANSWER, QUESTION),
        ("/v1/completions", {"prompt": "a", "max_tokens": 1}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}),
    ],
)
async def test_waiting_for_the_tokenizer_has_a_deadline(
    unloaded: Replica, client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    unloaded.load(deadline_seconds=0.2)
    free = threading.Event()
    held = [executor.submit(free.wait, 10) for _ in range(2)]
    assert (await client.post(path, json=body)).status_code == 504
    free.set()
    assert all(each.result() for each in held)


async def test_a_conversation_is_not_rendered_on_the_event_loop(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The template renders 512 messages again and again."""
    identifiers: list[int] = []
    render = ChatTemplate.spans

    def watch(self: ChatTemplate, turns: Sequence[Turn]) -> Any:
        identifiers.append(threading.get_ident())
        return render(self, turns)

    monkeypatch.setattr(ChatTemplate, "spans", watch)
    body = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}
    assert (await client.post("/v1/chat/completions", json=body)).is_success
    assert identifiers
    assert threading.get_ident() not in identifiers


async def test_calibration_does_not_tokenise_on_the_event_loop(
    unloaded: Replica, client: httpx.AsyncClient, threads: set[str]
) -> None:
    """This holds in a service and in the process that calibrates."""
    await unloaded.mcq.score_labels(
        Question.model_validate(LONG_QUESTION), form=CHATML.answer_first, rotation=1
    )
    assert threads
    assert threads <= {"prompt_0", "prompt_1"}


@pytest.fixture
def dedented(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Return the threads that removed the margins of texts for prompts, by text."""
    threads: dict[str, list[int]] = {}

    def watch(text: str) -> str:
        threads.setdefault(text, []).append(threading.get_ident())
        return dedent(text)

    monkeypatch.setattr(mcq_prompt, "dedent", watch)
    return threads


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "answer"},
        {"mode": "answer", "debias": "rotations"},
        {"mode": "answer", "select": "all", "debias": "rotations"},
        {"mode": "answer", "context": CODE, "instructions": CODE, "examples": [EXAMPLE]},
    ],
)
async def test_no_prompt_is_rendered_on_the_event_loop(
    client: httpx.AsyncClient, dedented: dict[str, list[int]], fields: dict[str, Any]
) -> None:
    body = {"question": CODE, "choices": CODE_CHOICES, **fields}
    response = await client.post(ANSWER, json=body)
    assert response.status_code == 200, response.text
    assert dedented.keys() >= {CODE, *CODE_CHOICES}
    assert threading.get_ident() not in {thread for each in dedented.values() for thread in each}


@pytest.mark.parametrize("select", ["one", "all"])
async def test_the_margins_of_a_question_and_its_choices_are_removed_once_for_all_orders(
    client: httpx.AsyncClient, dedented: dict[str, list[int]], select: str
) -> None:
    """Once for the choices' own order, and once for all others."""
    body = {"question": CODE, "choices": CODE_CHOICES, "mode": "answer", "debias": "rotations"}
    response = await client.post(ANSWER, json={**body, "select": select})
    assert response.status_code == 200, response.text
    assert {text: len(each) for text, each in dedented.items()} == dict.fromkeys(
        [CODE, *CODE_CHOICES], 2 if select == "one" else 1
    )


async def test_the_margin_of_an_input_is_removed_once_for_all_questions(
    client: httpx.AsyncClient, dedented: dict[str, list[int]]
) -> None:
    question = {
        "type": "choice", "instructions": "Which?", "choices": [{"value": "a"}, {"value": "b"}, {"value": "c"}]
    }  # fmt: skip
    body = {"model": "fake/model", "input": CODE, "questions": [question] * 3}
    response = await client.post("/v1/decisions", json=body)
    assert response.status_code == 200, response.text
    assert len(dedented[CODE]) == 1
    assert threading.get_ident() not in dedented[CODE]


@pytest.fixture
def spelled(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Return the number of tokens spelled for responses, by thread."""
    counts: Counter[int] = Counter()

    for module in (chat, completions):
        original = module.token_text

        def spell(token: int, tokenizer: Tokenizer, *, original: Any = original) -> str:
            counts[threading.get_ident()] += 1
            text: str = original(token, tokenizer)
            return text

        monkeypatch.setattr(module, "token_text", spell)
    return counts


async def test_log_probabilities_are_not_serialised_on_the_event_loop(
    client: httpx.AsyncClient, spelled: Counter[int]
) -> None:
    """This covers whole responses: an echo of several prompts, and a chat."""
    body = {"prompt": [[5] * 700] * 4, "echo": True, "logprobs": 20, "max_tokens": 0}
    response = await client.post("/v1/completions", json=body)
    logprobs = [choice["logprobs"] for choice in response.json()["choices"]]
    assert [len(each["token_logprobs"]) for each in logprobs] == [700] * 4
    assert all(len(top) >= 20 for each in logprobs for top in each["top_logprobs"][1:])
    messages = [{"role": "user", "content": "Why?"}]
    response = await client.post(
        "/v1/chat/completions", json={"messages": messages, "logprobs": True, "top_logprobs": 20}
    )
    assert response.json()["choices"][0]["logprobs"]["content"]
    assert spelled.total() > 4 * 700 * 20
    assert spelled[threading.get_ident()] == 0


async def test_a_streamed_echo_comes_in_small_parts(client: httpx.AsyncClient) -> None:
    """Events of other requests come between the parts."""
    body = {"prompt": [5] * 700, "echo": True, "logprobs": 1, "max_tokens": 0, "stream": True}
    response = await client.post("/v1/completions", json=body)
    events = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    parts = [choice["logprobs"] for event in events[:-1] for choice in json.loads(event)["choices"]]
    sizes = [len(part["tokens"]) for part in parts if part]
    assert sum(sizes) == 700
    assert max(sizes) <= 64
    assert [offset for part in parts if part for offset in part["text_offset"]] == list(range(700))


async def test_an_echo_without_computation_is_built_in_a_thread(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With hundreds of prompts it would take seconds."""
    threads: list[int] = []
    original = detokenizer.echo_prompt

    def echo(*arguments: Any) -> Any:
        threads.append(threading.get_ident())
        return original(*arguments)

    monkeypatch.setattr(generation, "echo_prompt", echo)
    response = await client.post(
        "/v1/completions", json={"prompt": ["ab"] * 3, "echo": True, "max_tokens": 0}
    )
    assert [choice["text"] for choice in response.json()["choices"]] == ["ab"] * 3
    assert len(threads) == 3
    assert threading.get_ident() not in threads
