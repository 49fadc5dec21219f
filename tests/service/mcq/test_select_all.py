"""Questions with any number of right choices: each choice is judged by itself."""

import math
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from tests.service.fakes import ANSWER, ANSWERS, QUESTION, FakeText, FakeTexts, Replica, problem, sample

from mcq_service.mcq.calibration import Calibration
from mcq_service.prompts import CHATML, Prompt, plain_form

ALL = {**QUESTION, "mode": "answer", "select": "all", "debias": "prior"}


class Judging(FakeTexts):
    """Thinks that what has an "a" is right, with a probability of 0.9, or 0.7 where it is the second letter."""

    def text(self, prompt: Prompt) -> FakeText:
        return JudgingText(self, prompt)


class JudgingText(FakeText):
    async def score_labels(self, labels: Sequence[str]) -> list[float]:
        if not self._prompt.choices.startswith("Is the following"):
            return await super().score_labels(labels)
        self._begin()
        _, judged, *_, first_option, _ = self._prompt.choices.splitlines()
        first, right = first_option.endswith("True"), "a" in judged
        sure = 0.9 if first == right else 0.7
        return [
            math.log(sure if first == right else 1 - sure),
            math.log(1 - sure if first == right else sure),
        ]


@pytest.fixture
def judging(replica: Replica) -> Judging:
    replica.texts = judging = Judging()
    replica.load(debias="prior")
    return judging


def values(body: dict[str, Any]) -> dict[str, float]:
    return {each["label"]: each["probability"] for each in body["probabilities"]}


async def test_each_choice_is_judged_in_both_orders(judging: Judging, client: httpx.AsyncClient) -> None:
    """The mean of the orders' log-odds, ln 9 and ln 7/3, is ln √21."""
    body = (await client.post(ANSWER, json=ALL)).json()
    right = math.sqrt(21) / (1 + math.sqrt(21))
    assert values(body) == pytest.approx({"A": 1 - right, "B": right, "C": right})
    assert [(each["label"], each["index"], each["text"]) for each in body["selected"]] == [
        ("B", 1, "apple"), ("C", 2, "car"),
    ]  # fmt: skip
    assert (body["answer"], body["abstained"]) == (None, False)
    assert (body["confidence"], body["margin"]) == pytest.approx((right, 2 * right - 1))
    assert len(judging.read) == 6
    assert judging.read[0].stem == "Which is a fruit?\n\n"
    assert judging.read[1].choices == "Is the following a right answer?\nstone\n\nA) False\nB) True"
    assert await sample(client, 'mcq_requests_total{mode="answer",outcome="answered"}') == 1


async def test_one_order_is_enough_if_the_client_says_so(judging: Judging, client: httpx.AsyncClient) -> None:
    body = (await client.post(ANSWER, json={**ALL, "debias": "none"})).json()
    assert values(body) == pytest.approx({"A": 0.3, "B": 0.9, "C": 0.9})
    assert len(judging.read) == 3


async def test_the_least_certain_judgement_decides_whether_the_service_abstains(
    judging: Judging, client: httpx.AsyncClient
) -> None:
    body = (await client.post(ANSWER, json={**ALL, "debias": "none", "min_confidence": 0.8})).json()
    assert (body["selected"], body["answer"], body["abstained"]) == ([], None, True)
    assert await sample(client, 'mcq_requests_total{mode="answer",outcome="abstained"}') == 1


@pytest.mark.parametrize(
    ("choices", "forced"), [(["stone", "apple", "car"], " B, C"), (["stone", "iron"], " none")]
)
async def test_the_reasoning_is_about_the_selected_choices(
    replica: Replica, client: httpx.AsyncClient, choices: list[str], forced: str
) -> None:
    """It has its own prompt, with all choices; the calibration's form judges."""
    replica.texts = Judging()
    replica.load(debias="prior", calibration=Calibration(prompt_digest=plain_form(0).digest))
    body = (await client.post(ANSWER, json={**ALL, "choices": choices, "mode": "explain"})).json()
    assert body["reasoning"] == "Because so."
    assert replica.texts.forced == [f'{forced}\nreasoning: "']
    assert [each.prefix for each in replica.texts.read][-2:] == [
        plain_form(0).prefix,
        CHATML.answer_first.prefix,
    ]
    assert replica.texts.open_texts == 0


async def test_a_stream_and_a_batch_have_the_selected_choices(
    judging: Judging, client: httpx.AsyncClient
) -> None:
    """Questions with one right choice have no such field."""
    text = (await client.post(ANSWER, json={**ALL, "stream": True})).text
    assert text.count('"selected":[{"label":"B"') == 2
    both = {"questions": [ALL, {**QUESTION, "mode": "answer", "debias": "none"}]}
    first, second = (await client.post(ANSWERS, json=both)).json()["results"]
    assert [each["label"] for each in first["answer"]["selected"]] == ["B", "C"]
    assert "selected" not in second["answer"]


async def test_mode_reason_selects_one(replica: Replica, client: httpx.AsyncClient) -> None:
    """Also if it is the default."""
    replica.load()
    body = problem(await client.post(ANSWER, json={**ALL, "mode": "reason"}), 422, "invalid-question")
    assert "works in the modes answer and explain" in body["detail"]
