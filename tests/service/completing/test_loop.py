"""What is in proportion to a request's size does not run on the event loop."""

import threading
from typing import Any

import httpx
import pytest
from tests.service.fakes import ANSWER, ANSWERS, QUESTION, Replica

from mcq_service.engines import Tokenizer
from mcq_service.protocol import Question

LONG = ("why? " * 100).strip()
ASKED = {**QUESTION, "question": LONG}


@pytest.fixture
def threads(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Those in which long texts were tokenised."""
    found: list[int] = []

    def watch(name: str) -> None:
        original = getattr(tokenizer, name)

        def encode(text: str) -> Any:
            if LONG in text:
                found.append(threading.get_ident())
            return original(text)

        monkeypatch.setattr(tokenizer, name, encode)

    watch("ours")
    watch("clients")
    return found


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ANSWER, {**ASKED, "mode": "answer"}),
        (ANSWER, {**ASKED, "mode": "explain", "stream": True}),
        (ANSWER, {**ASKED, "mode": "answer", "debias": "rotations"}),
        (ANSWER, {**QUESTION, "choices": [LONG, "b"], "mode": "answer", "debias": "rotations"}),
        (ANSWERS, {"questions": [{**ASKED, "mode": "reason"}] * 3}),
        ("/v1/completions", {"prompt": [LONG, LONG], "max_tokens": 1}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": LONG}], "max_tokens": 1}),
    ],
)
async def test_no_surface_tokenises_on_the_event_loop(
    client: httpx.AsyncClient, threads: list[int], path: str, body: dict[str, Any]
) -> None:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    assert threads
    assert threading.get_ident() not in threads


async def test_whoever_measures_does_not_either(
    unloaded: Replica, client: httpx.AsyncClient, threads: list[int]
) -> None:
    """`calibrate`, in the process of a service or its own."""
    await unloaded.answering.letters(Question.model_validate(ASKED), rotation=1)
    assert threads
    assert threading.get_ident() not in threads
