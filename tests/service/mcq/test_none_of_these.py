"""The way out: None of these as a further choice, and the probability of any label."""

import math
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from tests.service.fakes import ANSWER, QUESTION, Replica
from tests.service.local import local_replica, small_tokenizer
from tests.service.scripted import LIKED, ScriptedEngine

from mcq_service.api.mcq.choices import Option
from mcq_service.api.mcq.question_schemas import Question

ASKED = {**QUESTION, "mode": "answer", "none_of_these": True}


def labels(body: dict[str, Any]) -> list[str]:
    return [each["label"] for each in body["probabilities"]]


async def test_the_way_out_is_the_last_choice(replica: Replica, client: httpx.AsyncClient) -> None:
    """If it is the most probable, there is no answer, but no abstention either."""
    replica.texts.best = 3
    replica.load()
    body = (await client.post(ANSWER, json=ASKED)).json()
    assert replica.texts.read[0].choices.endswith("\nC) car\nD) None of these")
    assert labels(body) == ["A", "B", "C", "D"]
    assert (body["answer"], body["abstained"]) == (None, False)
    assert body["confidence"] == pytest.approx(0.7)
    assert body["none_of_these"] == {
        "label": "D",
        "probability": pytest.approx(0.7),
        "selected": True,
        "label_mass": 0.9,
    }


@pytest.mark.parametrize("debias", ["none", "rotations"])
async def test_a_choice_is_still_the_answer(replica: Replica, client: httpx.AsyncClient, debias: str) -> None:
    """Below the minimum confidence neither is."""
    replica.load()
    body = (await client.post(ANSWER, json={**ASKED, "mode": "answer"})).json()
    assert (body["answer"]["label"], body["none_of_these"]["selected"]) == ("B", False)
    replica.texts.best = 3
    unsure = (await client.post(ANSWER, json={**ASKED, "min_confidence": 0.9, "debias": debias})).json()
    assert (unsure["answer"], unsure["abstained"]) == (None, True)
    assert (unsure["none_of_these"]["selected"], unsure["none_of_these"]["label_mass"]) == (False, 0.9)


async def test_other_questions_have_no_such_field(replica: Replica, client: httpx.AsyncClient) -> None:
    replica.load()
    body = (await client.post(ANSWER, json=QUESTION)).json()
    assert not {"none_of_these", "selected"} & body.keys()


def test_the_label_is_the_first_free_one() -> None:
    """A list goes on; a map keeps the client's letters."""

    def offered(choices: Any) -> Option:
        return Question(question="Which?", choices=choices, none_of_these=True).offered[-1]

    assert offered(["x", "y"]).label == "C"
    assert offered({"B": "x", "A": "y", "D": "z"}).label == "C"
    assert (
        len(Question(question="Q", choices=[f"{n}" for n in range(254)], none_of_these=True).offered) == 255
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"choices": ["x", " none of  these. "]}, "Choice B is the one"),
        ({"choices": {letter: letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}}, "at most 25"),
        ({"choices": [f"{n}" for n in range(255)]}, "at most 254"),
        ({"select": "all"}, "an empty list says it"),
        ({"none_of_these": 1}, "boolean"),
    ],
)
def test_a_way_out_that_can_not_be_offered_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Question.model_validate({"question": "Q", "choices": ["x", "y"], "none_of_these": True, **fields})


async def test_the_mass_is_the_labels_share_of_the_next_token(tmp_path: Path) -> None:
    """The scripted engine likes B, and gives every other token of its vocabulary the same small share."""
    tokenizer = small_tokenizer(tmp_path)
    engine = ScriptedEngine()
    with local_replica(engine, tokenizer, writes=" B") as replica:
        replica.load()
        async with replica.client() as client:
            body = (await client.post(ANSWER, json=ASKED)).json()
    read = len(engine.opened[0].tokens)
    others = tokenizer.vocabulary - 2
    expected = (math.exp(LIKED) + 3) / (math.exp(LIKED) + others + math.exp(read / 100))
    assert body["none_of_these"]["label_mass"] == pytest.approx(expected, rel=1e-4)
