"""The language of the reasoning, and the answer as one text."""

import json
from typing import Any, get_args

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.service.examples import examples
from tests.service.fakes import ANSWER, QUESTION, Replica

from mcq_service.api.mcq.answer_schemas import Choice, Decision
from mcq_service.api.mcq.question_schemas import Language
from mcq_service.mcq.answer_text import output
from mcq_service.mcq.calibration import Calibration
from mcq_service.prompts import CHATML, plain_form
from mcq_service.prompts.mcq_prompt import LANGUAGES


def decision(**fields: Any) -> Decision:
    answer = Choice(label="B", index=1, text="apple")
    common: dict[str, Any] = {
        "id": "1",
        "model": "m",
        "mode": "explain",
        "confidence": 1,
        "margin": 1,
        "answer": answer,
    }
    return Decision(**{**common, "abstained": False, "probabilities": [], "trace_id": None, **fields})


SELECTED = [Choice(label="A", index=0, text="one\ntwo"), Choice(label="C", index=2, text="three")]
WAY_OUT = {"label": "D", "probability": 1.0, "selected": True, "label_mass": 1.0}
CASES: list[tuple[dict[str, Any], object, str]] = [
    ({}, "B", "B) apple"),
    ({"answer": None, "abstained": True}, None, "No answer"),
    ({"answer": None, "selected": SELECTED}, ["A", "C"], "A) one\ntwo\nC) three"),
    ({"answer": None, "selected": []}, [], "None of these"),
    ({"answer": None, "selected": [], "abstained": True}, None, "No answer"),
    ({"answer": None, "none_of_these": WAY_OUT}, "D", "None of these"),
]


@pytest.mark.parametrize(("fields", "answer", "plain"), CASES)
def test_an_answer_in_each_format(fields: dict[str, Any], answer: object, plain: str) -> None:
    """Without reasoning there is no such key or line."""
    decided = decision(**fields)
    for reasoning in (None, 'It "is".'):
        expected = {"answer": answer} | ({} if reasoning is None else {"reasoning": reasoning})
        assert json.loads(output("json", decided, reasoning) or "") == expected
        assert yaml.safe_load(output("yaml", decided, reasoning) or "") == expected
        assert output("text", decided, reasoning) == plain + ("" if reasoning is None else f"\n{reasoning}")
    assert output(None, decided, "x") is None


@examples(50)
@given(st.text())
def test_any_reasoning_is_readable_in_a_document(reasoning: str) -> None:
    assert json.loads(output("json", decision(), reasoning) or "")["reasoning"] == reasoning
    assert yaml.safe_load(output("yaml", decision(), reasoning) or "")["reasoning"] == reasoning


async def test_the_response_has_the_text_only_if_asked(replica: Replica, client: httpx.AsyncClient) -> None:
    replica.load()
    body = (await client.post(ANSWER, json={**QUESTION, "response_format": "text"})).json()
    assert body["output"] == "B) apple\nBecause so."
    assert "output" not in (await client.post(ANSWER, json=QUESTION)).json()


def test_each_language_has_a_name() -> None:
    assert set(LANGUAGES) == set(get_args(Language))


@pytest.mark.parametrize(
    ("mode", "told"), [("answer", [False]), ("explain", [False, True]), ("reason", [True])]
)
async def test_only_prompts_for_reasoning_name_its_language(
    replica: Replica, client: httpx.AsyncClient, mode: str, told: list[bool]
) -> None:
    """The letter is scored as without the field."""
    replica.load(calibration=Calibration(prompt_digest=plain_form(0).digest))
    await client.post(ANSWER, json={**QUESTION, "mode": mode, "language": "de"})
    german = "Write the reasoning in German.\n\nWhich is a fruit?"
    assert [german in each.text for each in replica.texts.read] == told


async def test_the_language_is_an_instruction_after_the_context(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    replica.load()
    fields = {"language": "ja", "context": "Passage.", "mode": "explain"}
    await client.post(ANSWER, json={**QUESTION, **fields})
    [read] = replica.texts.read
    assert read.prefix == CHATML.answer_first.prefix
    assert read.opening is not None
    assert read.opening.text == "Passage.\n\nWrite the reasoning in Japanese.\n\n"
