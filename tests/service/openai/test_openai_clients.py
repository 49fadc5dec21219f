"""The OpenAI-compatible API with the default model and OpenAI's own client."""

import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import openai
import pytest
from pydantic import BaseModel
from tests.service.fakes import ANSWER
from tests.service.processes import Service, service
from tests.support import client_programs

from mcq_service.api.mcq.question_schemas import Question
from mcq_service.engine import Tokenizer
from mcq_service.model_store import PreparedModel
from mcq_service.prompts import CHATML, render
from mcq_service.scheduler.step_budget import STEP_TOKENS

pytestmark = pytest.mark.slow

MODEL = "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"
QUESTION = Question(
    question="Which planet has the most moons?", choices=["Mars", "Saturn", "Venus"], debias="none"
)
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, model_cache: Path, prepared_model: PreparedModel
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("service")
    (directory / "keys").write_text(f"tester: {KEY}\n")
    variables = {
        "MCQ_MODEL_CACHE": str(model_cache),
        "MCQ_MODEL_PRECISION": prepared_model.precision,
        "MCQ_API_KEYS_FILE": str(directory / "keys"),
    }
    with service(directory / "log", **variables) as started:
        started.wait_started()
        yield started


@pytest.fixture(scope="module")
def tokenizer(prepared_model: PreparedModel) -> Tokenizer:
    return Tokenizer(prepared_model.path)


@pytest.fixture
async def client(running: Service) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=KEY, max_retries=0) as openai_client:
        yield openai_client


async def test_the_model_is_listed(client: openai.AsyncOpenAI) -> None:
    """Its name is its name on the hub."""
    [model] = [each async for each in client.models.list()]
    assert model.id == MODEL
    assert (await client.models.retrieve(MODEL)).id == MODEL


async def test_a_chat_is_answered_whole_and_streamed(client: openai.AsyncOpenAI) -> None:
    """Greedily, both ways give the same words."""
    parameters = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "What is the capital of France? One word."}],
        "temperature": 0,
        "max_tokens": 12,
    }
    whole = await client.chat.completions.create(**parameters)  # type: ignore[call-overload]
    assert "Paris" in whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    stream = await client.chat.completions.create(
        **parameters, stream=True, stream_options={"include_usage": True}
    )  # type: ignore[call-overload]
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage.model_copy(
        update={"prompt_tokens_details": chunks[-1].usage.prompt_tokens_details}
    )


class Capital(BaseModel):
    """The answer that the client asks for."""

    country: str
    capital: str
    on_the_sea: bool


async def test_the_client_parses_a_chat_into_its_own_class(client: openai.AsyncOpenAI) -> None:
    """The model's text follows the schema that the client makes of the class."""
    completion = await client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": "What is the capital of Portugal?"}],
        response_format=Capital,
        temperature=0,
        max_tokens=60,
    )
    parsed = completion.choices[0].message.parsed
    assert parsed is not None
    assert (parsed.country, parsed.capital) == ("Portugal", "Lisbon")


async def test_a_harness_gets_the_probabilities_of_mode_answer(
    client: openai.AsyncOpenAI, running: Service, tokenizer: Tokenizer
) -> None:
    """The letters' log-probabilities, echoed with a prompt of tokens, give the same probabilities."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=30) as http_client:
        body = {**QUESTION.model_dump(mode="json", exclude_none=True), "mode": "answer"}
        response = await http_client.post(ANSWER, json=body)
        service = (await http_client.get("/api/v1/service")).json()
    probabilities = [each["probability"] for each in response.json()["probabilities"]]
    form = CHATML.answer_form(service["identity"]["prompt_digest"])
    tokens = tokenizer.encode_prompt(render(QUESTION, form))
    prompts = [[*tokens, tokenizer.label_tokens[letter]] for letter in "ABC"]
    completion = await client.completions.create(
        model=MODEL, prompt=prompts, echo=True, logprobs=1, max_tokens=0, temperature=0
    )
    values = []
    for choice in completion.choices:
        assert choice.logprobs is not None
        assert choice.logprobs.token_logprobs is not None
        assert len(choice.logprobs.token_logprobs) == len(tokens) + 1
        values.append(choice.logprobs.token_logprobs[-1])
    weights = [math.exp(value) for value in values]
    expected = [weight / sum(weights) for weight in weights]
    assert probabilities == pytest.approx(expected, abs=1e-4)


async def test_a_long_echo_is_scored_as_in_one_piece(
    client: openai.AsyncOpenAI, tokenizer: Tokenizer
) -> None:
    """A prompt longer than a step is read in parts; its last words are as probable as in a continuation."""
    tokens = tokenizer.encode_trusted("One, two, three, four, five. " * 60 + "One, two, three")
    assert len(tokens) > STEP_TOKENS
    echoed = await client.completions.create(model=MODEL, prompt=tokens, echo=True, logprobs=0, max_tokens=0)
    next_token = await client.completions.create(
        model=MODEL, prompt=tokens[:-1], logprobs=5, max_tokens=1, temperature=0
    )
    assert echoed.choices[0].logprobs is not None
    assert next_token.choices[0].logprobs is not None
    values, tops = echoed.choices[0].logprobs.token_logprobs, next_token.choices[0].logprobs.top_logprobs
    assert values is not None
    assert tops is not None
    assert len(values) == len(tokens)
    assert values[-1] == pytest.approx(tops[0][tokenizer.decode(tokens[-1:])], abs=1e-4)


async def test_errors_are_ones_the_client_knows(running: Service, client: openai.AsyncOpenAI) -> None:
    """The errors are a wrong key, another model, too long a prompt, and a parameter out of range."""
    async with openai.AsyncOpenAI(
        base_url=f"{running.url}/v1", api_key="x" * 32, max_retries=0
    ) as unauthorized:
        with pytest.raises(openai.AuthenticationError) as refused:
            await unauthorized.models.list()
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as absent:
        await client.completions.create(model="gpt-5", prompt="x")
    assert absent.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        await client.completions.create(model=MODEL, prompt=[1] * 5000)
    assert (long.value.code, long.value.param) == ("context_length_exceeded", "prompt")
    with pytest.raises(openai.BadRequestError) as wrong:
        await client.completions.create(model=MODEL, prompt="x", temperature=3)
    assert wrong.value.param == "temperature"


@pytest.mark.parametrize("name", client_programs.PROGRAMS)
def test_the_documented_programs_run(running: Service, name: str) -> None:
    client_programs.check(name, running.url, key=KEY)
