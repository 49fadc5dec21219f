"""Typed questions as the field's clients ask them: openai's and langchain's decisions, and TypeSafe's System One."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
import typesafe_sdk
from langchain_openai.decisions import Choice, OpenAIDecisions, Predicate, Score
from pydantic import TypeAdapter, ValidationError
from tests.service.fakes import Replica, sample, until
from tests.service.local import listening
from tests.service.scripted import ScriptedEngine

from mcq_service.api.decisions.schemas import DecisionRequest
from mcq_service.engine import Tokenizer

DECISIONS, SYSTEM_ONE = "/v1/decisions", "/v1/systemone"
MODEL = "fake/model"
STATE = "I was charged twice for the same order. Please fix this today."
QUESTIONS: list[Any] = [
    {"type": "predicate", "name": "twice", "instructions": "The customer was charged twice."},
    {
        "type": "choice",
        "instructions": "Which team should answer?",
        "choices": [{"value": "sales"}, {"value": True, "description": "payments"}, {"value": "true"}],
    },
    {
        "type": "score",
        "name": "urgency",
        "instructions": "How urgent is it?",
        "levels": [{"label": "can wait"}, {"label": "this week"}, {"label": "today", "description": "now"}],
    },
]
# The engine scores B one nat above the other letters.
BEST, OTHER = math.e / (math.e + 2), 1 / (math.e + 2)
CERTAINTY = (3 * BEST - 1) / 2


@pytest.fixture
async def url(unloaded: Replica) -> AsyncIterator[str]:
    """Yield the address of a replica that prefers B."""
    unloaded.load(debias="prior")
    async with listening(unloaded) as address:
        yield address


def body(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": STATE, "questions": QUESTIONS, **fields}


def check(decision: Any) -> None:
    """Check the answers to QUESTIONS. The predicate is asked in both orders, so that a preferred letter cancels."""
    predicate, choice, score = decision.answers
    assert (predicate.type, predicate.name, predicate.probability) == (
        "predicate",
        "twice",
        pytest.approx(0.5),
    )
    assert (choice.type, choice.name, choice.choice) == ("choice", None, True)
    assert choice.confidence == pytest.approx(CERTAINTY)
    assert [(type(each.value), each.value) for each in choice.probabilities] == [
        (str, "sales"), (bool, True), (str, "true"),
    ]  # fmt: skip
    assert [each.probability for each in choice.probabilities] == pytest.approx([OTHER, BEST, OTHER])
    assert (score.type, score.name, score.score) == ("score", "urgency", pytest.approx(1))
    assert score.confidence == pytest.approx(CERTAINTY)
    assert [(each.value, each.label) for each in score.probabilities] == [
        (0, "can wait"), (1, "this week"), (2, "today"),
    ]  # fmt: skip
    usage = decision.usage
    assert usage.total_tokens == usage.input_tokens > usage.input_tokens_details.cached_tokens
    assert usage.output_tokens == 0


async def test_the_openai_client_decides(url: str) -> None:
    def decide() -> None:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0) as client:
            check(client.decisions.create(**body()))

    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0) as client:
        check(await client.decisions.create(**body()))
    await asyncio.to_thread(decide)


async def test_the_prompts_about_an_input_share_one_stem(replica: Replica) -> None:
    """There are up to 800, and the input may be a megabyte: a copy for each would fill the memory."""
    replica.load(debias="prior")
    async with replica.client() as client:
        assert (await client.post(DECISIONS, json=body())).status_code == 200
    prompts = replica.texts.read
    assert len(prompts) == 4, "the predicate is asked in both orders"
    assert len({id(prompt.stem) for prompt in prompts}) == 1


@pytest.mark.filterwarnings("ignore:The class `OpenAIDecisions` is in beta")
async def test_langchain_decides(url: str) -> None:
    model = OpenAIDecisions(model=MODEL, base_url=f"{url}/v1", api_key="-", max_retries=0)
    questions: dict[str, Predicate | Choice | Score] = {
        "twice": Predicate(instructions="Was the customer charged twice?"),
        "team": Choice(
            instructions="Which team?", choices={"sales": None, "billing": "payments", "other": None}
        ),
        "urgency": Score(instructions="How urgent is it?", levels=["can wait", "this week", "today"]),
    }
    response = await model.ainvoke({"input": STATE, "questions": questions})
    assert response.predicates["twice"].probability == pytest.approx(0.5)
    assert response.choices["team"].choice == "billing"
    assert response.scores["urgency"].score == pytest.approx(1)


async def test_the_typesafe_client_asks_system_one(url: str) -> None:
    questions: dict[str, typesafe_sdk.Question] = {
        "twice": typesafe_sdk.Noul(
            instructions="Was the customer charged twice?", criteria={"true": "two charges"}
        ),
        "team": typesafe_sdk.Choice(
            criteria={"sales": None, "billing": {"about": "payments"}, "other": None}
        ),
        "urgency": typesafe_sdk.Score(
            instructions="How urgent?", criteria=["can wait", "this week", "today"]
        ),
        "only": typesafe_sdk.Choice(criteria={"this": None}),
    }

    def ask() -> tuple[typesafe_sdk.SystemOneResponse, typesafe_sdk.ListModelsResponse]:
        with typesafe_sdk.TypeSafeClient(base_url=url, api_key="-") as client:
            return client.system_one({"message": STATE}, questions, model=MODEL), client.models.list()

    response, models = await asyncio.to_thread(ask)
    assert response.model == MODEL
    assert response.nouls["twice"].noul == pytest.approx(0.5)
    assert response.choices["team"].choice == "billing"
    assert response.choices["team"].confidence == pytest.approx(CERTAINTY)
    assert response.choices["team"].probabilities == pytest.approx(
        {"sales": OTHER, "billing": BEST, "other": OTHER}
    )
    assert response.choices["only"].confidence == 1
    assert response.scores["urgency"].score == pytest.approx(1)
    assert response.scores["urgency"].legend == {0: "can wait", 1: "this week", 2: "today"}
    assert response.usage.input_tokens
    assert [model.name for model in models.models] == [MODEL]


async def test_system_one_refuses_what_it_can_not_read(url: str) -> None:
    """TypeSafe's client shows the message."""

    async def refusal(state: Any, question: Any, model: str = MODEL) -> str:
        async with typesafe_sdk.AsyncTypeSafeClient(base_url=url, api_key="-") as client:
            with pytest.raises(typesafe_sdk.TypeSafeAPIError) as error:
                await client.system_one(state, {"one": question}, model=model)
        return str(error.value)

    noul = typesafe_sdk.Noul(instructions="Is it?")
    assert "this service's model reads text only" in await refusal(
        "x", typesafe_sdk.Box(instructions="a dog")
    )
    assert "state must not be blank" in await refusal(" ", noul)
    assert f"This replica serves {MODEL}" in await refusal("x", noul, model="jev-latest")
    assert "Input tag 'riddle'" in await refusal("x", {"type": "riddle"})
    assert "must not be blank" in await refusal("x", {"type": "choice", "criteria": {"\n": None}})
    assert "questions.one.criteria" in await refusal("x", {"type": "score", "criteria": [1]})


async def test_the_input_is_read_once(
    client: httpx.AsyncClient, engine: ScriptedEngine, tokenizer: Tokenizer
) -> None:
    """Each question adds its own tokens only."""
    long = " ".join(["The order was late."] * 40)
    engine.steps.clear()
    one = (await client.post(DECISIONS, json=body(input=long, questions=QUESTIONS[1:2]))).json()["usage"]
    read = sum(len(tokens) for step in engine.steps for tokens in step)
    assert one["input_tokens"] == read
    engine.steps.clear()
    twenty = body(input=long, questions=QUESTIONS[1:2] * 20)
    many = (await client.post(DECISIONS, json=twenty)).json()["usage"]
    assert many["input_tokens"] == sum(len(tokens) for step in engine.steps for tokens in step)
    question = one["input_tokens"] - len(tokenizer.encode_trusted(long))
    assert many["input_tokens"] - one["input_tokens"] < 19 * question
    await until(lambda: engine.open_sequences == 0)
    assert await sample(client, 'mcq_requests_total{mode="decide",outcome="answered"}') == 2


async def test_answers_below_the_minimum_confidence_are_refusals(unloaded: Replica) -> None:
    """Other questions are answered."""
    unloaded.load(min_confidence=0.55, debias="prior")
    async with unloaded.client() as client:
        answers = (await client.post(DECISIONS, json=body())).json()["answers"]
    assert answers[0] == {"name": "twice", "type": "refusal"}
    assert [answer["type"] for answer in answers] == ["refusal", "choice", "score"]


CALL = {"type": "function_call", "call_id": "1", "name": "lookup", "arguments": '{"order": 7}'}
OUTPUT = {"type": "function_call_output", "call_id": "1", "output": "not found"}


def test_a_conversation_is_read_as_text() -> None:
    asked = [{"type": "input_text", "text": "Where is it?"}, {"type": "input_json", "data": {"order": 7}}]
    replied = [{"type": "output_text", "text": "It is lost."}, {"type": "refusal", "refusal": "Sorry."}]
    items = [
        {"role": "developer", "content": "Judge the conversation."},
        {"role": "user", "content": asked},
        CALL,
        OUTPUT,
        {"role": "assistant", "content": replied},
    ]
    request = DecisionRequest.model_validate(body(input=items))
    assert request.state == (
        'Developer: Judge the conversation.\n\nUser: Where is it?\n{"order": 7}\n\nCall of lookup: {"order": 7}\n\n'
        "Result: not found\n\nAssistant: It is lost.\nSorry."
    )
    assert DecisionRequest.model_validate(body(input=items[1:2])).state == 'Where is it?\n{"order": 7}'


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"input": " "}, None, "input must not be blank"),
        ({"input": [OUTPUT]}, None, "input.0.call_id matches no call before it"),
        ({"input": [{**CALL, "call_id": "2"}, OUTPUT]}, None, "input.1.call_id matches no call"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input.0", "must be a message"),
        ({"input": [{"role": "user", "content": 1}]}, "input.0.content", "string"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}]},
            "input.0.content.0",
            "reads text only",
        ),
        ({"questions": []}, "questions", "at least 1"),
        ({"questions": QUESTIONS[:1] * 401}, "questions", "at most 400"),
        ({"questions": [{"type": "riddle"}]}, "questions.0", "predicate"),
        ({"questions": [{"type": "predicate"}]}, "questions.0.instructions", "required"),
        ({"questions": [{"type": "predicate", "instructions": " "}]}, "questions.0", "must not be blank"),
        (
            {"questions": [{**QUESTIONS[1], "choices": [{"value": "a"}] * 2}]},
            "questions.0",
            "choices must be unique: 'a' occurs twice",
        ),
        (
            {"questions": [{**QUESTIONS[2], "levels": [{"label": "\u00fc"}, {"label": "u\u0308"}]}]},
            "questions.0",
            "levels must be unique",
        ),
        (
            {"questions": [{**QUESTIONS[1], "choices": [{"value": 1}, {"value": "b"}]}]},
            "questions.0.choices.0.value",
            "valid",
        ),
        ({"questions": [{**QUESTIONS[1], "choices": [{"value": "a"}]}]}, "questions.0.choices", "at least 2"),
        (
            {"questions": [{**QUESTIONS[1], "choices": [{"value": " "}, {"value": "b"}]}]},
            "questions.0.choices.0.value",
            "must not be blank",
        ),
        (
            {"questions": [{**QUESTIONS[2], "levels": [{"label": ""}, {"label": "b"}]}]},
            "questions.0.levels.0.label",
            "must not be blank",
        ),
        (
            {"questions": [{**QUESTIONS[2], "levels": [{"label": "low"}] * 2}]},
            "questions.0",
            "levels must be unique: 'low' occurs twice",
        ),
        ({"model": "gpt-6-luna"}, None, f"serves {MODEL}"),
        ({"input": "long " * 9000}, "question", "must not be more than 4096"),
    ],
)
async def test_a_request_that_can_not_be_answered_is_refused(
    client: httpx.AsyncClient, fields: dict[str, Any], param: str | None, message: str
) -> None:
    """The error names the field, in OpenAI's form."""
    response = await client.post(DECISIONS, json=body(**fields))
    assert response.status_code in {400, 404}
    error = response.json()["error"]
    assert message in error["message"]
    assert error["param"] == param


async def test_more_choices_than_labels_are_refused(client: httpx.AsyncClient) -> None:
    """The test's tokenizer has single tokens for letters, but for no pair of letters."""
    choices = [{"value": str(number)} for number in range(27)]
    response = await client.post(DECISIONS, json=body(questions=[{**QUESTIONS[1], "choices": choices}]))
    assert response.status_code == 400
    assert "27 choices are too many" in response.json()["error"]["message"]


def test_values_of_choices_keep_their_type() -> None:
    """Neither 1 nor "yes" becomes a boolean."""
    adapter = TypeAdapter(DecisionRequest)
    with pytest.raises(ValidationError):
        adapter.validate_python(body(questions=[{**QUESTIONS[1], "choices": [{"value": 1}, {"value": 0}]}]))
    request = adapter.validate_python(body())
    assert request.questions[1].options == ["sales", "true (a boolean): payments", "true"]
