"""Questions with many choices: labels of two letters, their limits, and code as a choice."""

from collections.abc import Sequence
from itertools import product
from string import ascii_uppercase
from typing import Any

import httpx
import pytest
from tests.service.fakes import ANSWER, ANSWERS, FakeTexts, Replica, problem, sample

from mcq_service.engine import TooManyChoices

PAIRS = ["".join(pair) for pair in product(ascii_uppercase, repeat=2) if pair != ("A", "B")]


class WithPairs(FakeTexts):
    """Has labels for 300 choices; AB is none of them."""

    def labels(self, count: int) -> list[str]:
        if count > 300:
            raise TooManyChoices(f"{count} choices are too many: the limit is 300.")
        return PAIRS[:count] if count > 26 else super().labels(count)


def many(count: int, **fields: Any) -> dict[str, Any]:
    return {
        "question": "Which?",
        "choices": [f"choice {n}" for n in range(count)],
        "mode": "answer",
        **fields,
    }


@pytest.fixture
def pairs(replica: Replica) -> WithPairs:
    replica.texts = pairs = WithPairs(best=29)
    replica.load()
    return pairs


def labels(answer: dict[str, Any]) -> Sequence[str]:
    return [each["label"] for each in answer["probabilities"]]


@pytest.mark.parametrize("mode", ["answer", "explain", "reason"])
async def test_more_than_26_choices_have_labels_of_two_letters(
    pairs: WithPairs, client: httpx.AsyncClient, mode: str
) -> None:
    """The prompt has the same labels as the answer."""
    answer = (await client.post(ANSWER, json=many(255, mode=mode))).json()
    assert labels(answer) == PAIRS[:255]
    assert answer["answer"] == {"label": "BE", "index": 29, "text": "choice 29"}
    assert pairs.read[0].choices.startswith("AA) choice 0\nAC) choice 1\n")
    if mode == "explain":
        assert pairs.forced == [' BE\nreasoning: "']
    assert await sample(client, 'mcq_answers_total{label="other"}') == 1


async def test_an_engine_with_fewer_labels_refuses_by_its_limit(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """A batch answers its other questions."""
    replica.texts = WithPairs()

    def refuse(count: int) -> list[str]:
        raise TooManyChoices(f"{count} choices are too many for this engine: the limit is 26.")

    replica.texts.labels = refuse
    replica.load()
    body = problem(await client.post(ANSWER, json=many(27)), 422, "invalid-question")
    assert body["detail"] == "Send fewer choices. 27 choices are too many for this engine: the limit is 26."
    assert body["errors"][0]["pointer"] == "/choices"
    batch = {"questions": [many(27), many(26)]}
    first, second = (await client.post(ANSWERS, json=batch)).json()["results"]
    assert first["problem"] == body
    assert labels(second["answer"]) == list(ascii_uppercase)


async def test_one_question_has_a_limit_of_work_too(pairs: WithPairs, client: httpx.AsyncClient) -> None:
    """Its rotations would read 255 choices 255 times."""
    long = [f"{n} " + "x" * 100 for n in range(255)]
    rotated = many(255, choices=long, debias="rotations")
    problem(await client.post(ANSWER, json=rotated), 413, "request-too-large")
    problem(await client.post(ANSWER, json={**rotated, "stream": True}), 413, "request-too-large")
    assert (await client.post(ANSWER, json={**rotated, "debias": "none"})).status_code == 200


async def test_code_is_a_choice_with_its_line_breaks_and_indentation(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """The prompt and the answer have them."""
    replica.load()
    code = "for i in x:\n    if i:\n        print(i)"
    body = {"question": "Which prints all?", "choices": ["print()", code], "mode": "answer"}
    answer = (await client.post(ANSWER, json=body)).json()
    assert answer["answer"]["text"] == code
    assert replica.texts.read[0].choices == ("A) print()\nB) for i in x:\n       if i:\n           print(i)")
