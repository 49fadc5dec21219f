"""Text completions of the OpenAI-compatible API."""

import asyncio
import itertools
import json
import math
import time
from typing import Any

import httpx
import pytest
from tests.service.fakes import Replica, sample, until
from tests.service.openai.conftest import WRITTEN
from tests.service.scripted import LIKED, ScriptedEngine

from mcq_service.engine import Tokenizer

PATH = "/v1/completions"
PROMPT = "Why? <|im_start|>"


async def complete(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post(PATH, json={"prompt": PROMPT, "temperature": 0, **body})
    assert response.status_code == 200, response.text
    completion: dict[str, Any] = response.json()
    assert (completion["object"], completion["model"]) == ("text_completion", "fake/model")
    return completion


async def text(client: httpx.AsyncClient, **body: Any) -> tuple[str, str]:
    """Return the text of the only choice and its finish reason."""
    [choice] = (await complete(client, **body))["choices"]
    return choice["text"], choice["finish_reason"]


async def chunks(client: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    """Return the chunks of a stream that ends correctly."""
    parameters = {"prompt": PROMPT, "temperature": 0, "stream": True, **body}
    async with client.stream("POST", PATH, json=parameters) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = [line.removeprefix("data: ") async for line in response.aiter_lines() if line]
    assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]


def failure(response: httpx.Response, status: int, code: str, param: str | None = None) -> str:
    """Check an error in OpenAI's form; return its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"]
    message: str = error["message"]
    return message


async def test_text_continues_the_prompt(client: httpx.AsyncClient, tokenizer: Tokenizer) -> None:
    """The text ends at max_tokens, and the usage counts the tokens."""
    completion = await complete(client, max_tokens=5)
    assert completion["choices"] == [
        {"index": 0, "text": WRITTEN[:5], "logprobs": None, "finish_reason": "length"}
    ]
    read = len(tokenizer.encode_trusted(PROMPT))
    assert completion["usage"] == {
        "prompt_tokens": read, "completion_tokens": 5, "total_tokens": read + 5,
        "prompt_tokens_details": {"cached_tokens": 0},
    }  # fmt: skip


async def test_the_models_own_end_is_not_part_of_the_text(client: httpx.AsyncClient) -> None:
    """The end still counts as a written token."""
    completion = await complete(client)
    assert (completion["choices"][0]["text"], completion["choices"][0]["finish_reason"]) == (WRITTEN, "stop")
    assert completion["usage"]["completion_tokens"] == len(WRITTEN) + 1


async def test_all_chunks_of_a_stream_have_the_same_id_and_time(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", itertools.count(1_000_000).__next__)
    received = await chunks(client, stream_options={"include_usage": True})
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in received}) == 1


@pytest.mark.parametrize("limit", [0, 1, 3])
async def test_an_echoed_prompt_is_scored_token_by_token(
    client: httpx.AsyncClient, tokenizer: Tokenizer, limit: int
) -> None:
    """The tokens before a token score it, so the first has no score; offsets are in characters."""
    completion = await complete(client, echo=True, logprobs=1, max_tokens=limit)
    [choice] = completion["choices"]
    assert choice["text"] == PROMPT + WRITTEN[:limit]
    logprobs = choice["logprobs"]
    prompt = [tokenizer.decode([token]) for token in tokenizer.encode_trusted(PROMPT)]
    assert logprobs["tokens"] == [*prompt, *WRITTEN[:limit]]
    at = 0
    for token, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        assert (offset, choice["text"][offset : offset + len(token)]) == (at, token)
        at += len(token)
    assert logprobs["token_logprobs"][0] is logprobs["top_logprobs"][0] is None
    for read in range(1, len(logprobs["tokens"])):
        written = read >= len(prompt)  # the model's own text
        others = tokenizer.vocabulary - 1 - written
        normaliser = math.log(others + math.exp(read / 100) + (math.exp(LIKED) if written else 0))
        expected = (LIKED if written else 0) - normaliser
        assert logprobs["token_logprobs"][read] == pytest.approx(expected, abs=1e-5)
        top = {logprobs["tokens"][read]: expected} | ({} if written else {"!": read / 100 - normaliser})
        assert logprobs["top_logprobs"][read] == pytest.approx(top, abs=1e-5)
    assert completion["usage"]["completion_tokens"] == limit


async def test_an_echo_without_scores_computes_nothing(
    client: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    """This holds if there is nothing to write either."""
    assert await text(client, echo=True, max_tokens=0) == (PROMPT, "length")
    assert engine.steps == []


async def test_prompts_may_be_tokens_and_several(client: httpx.AsyncClient, tokenizer: Tokenizer) -> None:
    """Each prompt has its choice, in the prompts' order, and tokens give the same as text."""
    prompts = ["a", "bb", "ccc <|im_end|>"]
    tokens = [tokenizer.encode_trusted(prompt) for prompt in prompts]
    parameters = {"echo": True, "logprobs": 2, "max_tokens": 2}
    by_text = await complete(client, prompt=prompts, **parameters)
    by_tokens = await complete(client, prompt=tokens, **parameters)
    assert by_text["choices"] == by_tokens["choices"]
    assert [choice["index"] for choice in by_text["choices"]] == [0, 1, 2]
    assert [choice["text"] for choice in by_text["choices"]] == [f"{prompt}so" for prompt in prompts]
    assert by_text["usage"]["prompt_tokens"] == sum(map(len, tokens))
    [alone] = (await complete(client, prompt=tokens[2], **parameters))["choices"]
    assert alone == {**by_text["choices"][2], "index": 0}


@pytest.mark.parametrize(
    ("stop", "left"),
    [("it", "so "), (["is", "o it"], "s"), (".", "so it is"), ("so", ""), ("it was", WRITTEN), (" is.\n", WRITTEN)],
)  # fmt: skip
async def test_text_ends_before_the_first_stop(
    client: httpx.AsyncClient, engine: ScriptedEngine, stop: object, left: str
) -> None:
    """This holds whole and streamed; a partial match is not lost, and no step runs after a stop."""
    assert await text(client, stop=stop) == (left, "stop")
    steps = len(engine.steps)
    streamed = await chunks(client, stop=stop)
    assert len(engine.steps) == 2 * steps
    assert "".join(chunk["choices"][0]["text"] for chunk in streamed) == left
    assert [chunk["choices"][0]["finish_reason"] for chunk in streamed][-1] == "stop"


@pytest.mark.parametrize("stop", ["<|im_start|>", ["<tool_call>", "<|im_start|>", "oh"]])
async def test_a_control_token_is_a_stop(
    client: httpx.AsyncClient, engine: ScriptedEngine, tokenizer: Tokenizer, stop: object
) -> None:
    """It has no characters in the text. Characters that may have begun another stop are not lost."""
    engine.script = tokenizer.encode_trusted("so<|im_start|>it is.")
    assert await text(client, stop=stop) == ("so", "stop")
    streamed = await chunks(client, stop=stop)
    assert "".join(chunk["choices"][0]["text"] for chunk in streamed) == "so"
    assert [chunk["choices"][0]["finish_reason"] for chunk in streamed][-1] == "stop"
    assert await text(client) == ("soit is.", "stop")


async def test_a_stream_is_the_same_text_in_parts(client: httpx.AsyncClient) -> None:
    """The log-probabilities are equal, too, and the usage comes last if requested."""
    parameters: dict[str, Any] = {"echo": True, "logprobs": 3, "max_tokens": 6}
    whole = await complete(client, **parameters)
    streamed = await chunks(client, stream_options={"include_usage": True}, **parameters)
    assert len({chunk["id"] for chunk in streamed}) == 1
    last = streamed.pop()
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    parts = [chunk["choices"][0] for chunk in streamed]
    assert len(parts) > 6
    assert "".join(part["text"] for part in parts) == whole["choices"][0]["text"]
    for name, values in whole["choices"][0]["logprobs"].items():
        assert [value for part in parts if part["logprobs"] for value in part["logprobs"][name]] == values


async def test_a_character_of_several_tokens_is_not_split(
    client: httpx.AsyncClient, engine: ScriptedEngine, tokenizer: Tokenizer
) -> None:
    """The tokens show its bytes in OpenAI's form; the text has the character once it is complete."""
    engine.script = tokenizer.encode_trusted("x🙂é")
    assert await text(client) == ("x🙂é", "stop")
    streamed = await chunks(client, logprobs=0)
    assert [part for chunk in streamed if (part := chunk["choices"][0]["text"])] == ["x", "🙂", "é"]
    tokens = [
        each
        for chunk in streamed
        if chunk["choices"][0]["logprobs"]
        for each in chunk["choices"][0]["logprobs"]["tokens"]
    ]
    assert tokens[1:5] == ["bytes:\\xf0", "bytes:\\x9f", "bytes:\\x99", "bytes:\\x82"]
    assert await text(client, max_tokens=3) == ("x\N{REPLACEMENT CHARACTER}", "length")


async def test_a_seed_makes_sampling_reproducible(client: httpx.AsyncClient) -> None:
    """At a high temperature texts differ unless their seeds are equal; at 0 they never differ."""
    samples = {seed: (await text(client, temperature=2, seed=seed))[0] for seed in range(6)}
    assert len(set(samples.values())) > 3
    for seed, sampled in samples.items():
        assert (await text(client, temperature=2, seed=seed))[0] == sampled
    assert {(await text(client, temperature=0, seed=seed))[0] for seed in range(3)} == {WRITTEN}


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({}, "prompt", "required"),
        ({"prompt": ""}, "prompt", "empty"),
        ({"prompt": []}, "prompt", "at least 1"),
        ({"prompt": [[1], []]}, "prompt.1", "at least 1"),
        ({"prompt": [1, 10**6]}, "prompt", "not know"),
        ({"prompt": "a", "n": 17}, "n", "less than or equal to 16"),
        ({"prompt": "a", "best_of": 2}, "best_of", "not supported"),
        ({"prompt": "a", "best_of": 4}, "best_of", "not supported"),
        ({"prompt": "a", "logit_bias": {"1": 5}}, "logit_bias", "not supported"),
        ({"prompt": "a", "logprobs": 21}, "logprobs", "less than or equal to 20"),
        ({"prompt": "a", "max_tokens": -1}, "max_tokens", "greater than or equal to 0"),
        ({"prompt": "a", "temperature": "hot"}, "temperature", "number"),
        ({"prompt": "a", "stop": ["x"] * 17}, "stop", "at most 16"),
    ],
)
async def test_unsupported_parameters_are_refused_in_openais_form(
    client: httpx.AsyncClient, body: dict[str, Any], param: str, says: str
) -> None:
    """The error names the parameter; a parameter that changes the meaning is never ignored."""
    message = failure(await client.post(PATH, json=body), 400, "invalid_value", param)
    assert says in message


async def test_several_texts_for_each_prompt(client: httpx.AsyncClient) -> None:
    """They follow each other, each with its own seed; the usage counts a prompt once."""
    body = {"prompt": ["a", "b"], "max_tokens": 6, "temperature": 2, "seed": 7}
    one, three = await complete(client, **body), await complete(client, **body, n=3)
    assert [choice["index"] for choice in three["choices"]] == list(range(6))
    texts = [choice["text"] for choice in three["choices"]]
    assert [texts[0], texts[3]] == [choice["text"] for choice in one["choices"]]
    assert texts[1] == (await complete(client, **{**body, "prompt": "a", "seed": 8}))["choices"][0]["text"]
    assert len(set(texts[:3])) == 3
    assert three["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]
    assert one["usage"]["completion_tokens"] < three["usage"]["completion_tokens"] <= 6 * 6
    streamed = await chunks(client, **body, n=3)
    assert {chunk["choices"][0]["index"] for chunk in streamed} == set(range(6))


async def test_neutral_parameters_are_accepted(client: httpx.AsyncClient) -> None:
    """Clients send their defaults, and fields that only other servers know."""
    defaults = {
        "n": 1,
        "best_of": None,
        "presence_penalty": 0,
        "logit_bias": None,
        "user": "me",
        "suffix": None,
    }
    assert await text(client, **defaults) == (WRITTEN, "stop")


async def test_a_prompt_that_does_not_fit_reports_both_numbers(client: httpx.AsyncClient) -> None:
    """The error has OpenAI's own code, which clients look for."""
    response = await client.post(PATH, json={"prompt": "a" * 4000, "max_tokens": 100})
    message = failure(response, 400, "context_length_exceeded", "prompt")
    assert "4000" in message
    assert "4096" in message


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"prompt": [[5] * 1000] * 120, "max_tokens": 2000}, "prompt", ["360000 tokens", "262144", "max_tokens"]),
        ({"prompt": ["a" * 4000] * 80, "max_tokens": 0}, "prompt", ["264000 tokens", "262144"]),
        ({"prompt": [[5] * 1000] * 7, "echo": True, "logprobs": 20}, "logprobs", ["149352", "131072", "fewer"]),
        ({"prompt": ["a"] * 256, "max_tokens": 256, "logprobs": 1}, None, []),
        ({"prompt": ["a"] * 256, "max_tokens": 257, "logprobs": 1}, "logprobs", ["131584", "max_tokens"]),
    ],
)  # fmt: skip
async def test_one_request_has_limits(
    client: httpx.AsyncClient,
    engine: ScriptedEngine,
    body: dict[str, Any],
    param: str | None,
    says: list[str],
) -> None:
    """Tokens and log-probabilities are limited; the refusal has the number and a remedy, and precedes any work."""
    response = await client.post(PATH, json={"temperature": 0, **body})
    if param is None:
        assert response.status_code == 200
        return
    message = failure(response, 413, "request_too_large", param)
    assert all(each in message for each in says), message
    assert engine.steps == []


async def test_the_longest_prompt_may_have_all_log_probabilities(client: httpx.AsyncClient) -> None:
    """A full context is never too much, at any context length."""
    completion = await complete(client, prompt=[5] * 4000, echo=True, logprobs=20, max_tokens=0)
    assert len(completion["choices"][0]["logprobs"]["tokens"]) == 4000


async def test_a_prompt_that_does_not_fit_is_refused_before_the_others_are_read(
    client: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    """The request has several prompts."""
    response = await client.post(PATH, json={"prompt": ["a", "a" * 5000]})
    failure(response, 400, "context_length_exceeded", "prompt")
    assert engine.steps == []


async def test_only_the_served_model_answers(client: httpx.AsyncClient) -> None:
    """The service lists it, and a request may leave it out."""
    listed = (await client.get("/v1/models")).json()
    assert [each["id"] for each in listed["data"]] == ["fake/model"]
    assert listed["data"][0]["max_model_len"] == 4096
    assert (await client.get("/v1/models/fake/model")).json() == listed["data"][0]
    assert (await text(client, model="fake/model"))[0] == WRITTEN
    for response in (
        await client.post(PATH, json={"prompt": "a", "model": "gpt-5"}),
        await client.get("/v1/models/gpt-5"),
    ):
        assert "fake/model" in failure(response, 404, "model_not_found")


async def test_middleware_and_unknown_paths_answer_in_openais_form(client: httpx.AsyncClient) -> None:
    """Every part of the service that can refuse uses this form."""
    failure(
        await client.post(PATH, content="{", headers={"Content-Type": "application/json"}),
        400,
        "malformed_body",
    )
    failure(await client.post(PATH, content="{}"), 415, "unsupported_media_type")
    failure(await client.get(PATH), 405, "method_not_allowed")
    failure(await client.post("/v1/embeddings", json={}), 404, "not_found")


async def test_a_full_queue_is_429_with_the_time_to_wait(
    unloaded: Replica, client: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    """No admitted request is lost."""
    unloaded.load(max_queued=1, max_active=1)
    engine.gate.clear()
    admitted = [asyncio.create_task(text(client))]
    await until(lambda: engine.steps)  # from now on the request does not count as queued
    admitted.append(asyncio.create_task(text(client)))
    await until(lambda: unloaded.admission.pending == 2)
    response = await client.post(PATH, json={"prompt": "a"})
    engine.gate.set()
    failure(response, 429, "rate_limit_exceeded")
    assert int(response.headers["retry-after"]) >= 1
    assert await asyncio.gather(*admitted) == [(WRITTEN, "stop")] * 2


async def test_a_failure_in_one_prompt_ends_all_of_them(
    client: httpx.AsyncClient, engine: ScriptedEngine, unloaded: Replica
) -> None:
    """The request gets one error, and no sequence stays open."""
    engine.error = RuntimeError("inner detail")
    response = await client.post(PATH, json={"prompt": ["a", "b", "c"]})
    engine.error = None
    assert "inner detail" not in failure(response, 500, "internal_error")
    await until(lambda: engine.open_sequences == 0)
    assert unloaded.admission.pending == 0


async def test_missing_memory_is_503_with_the_time_to_wait(
    client: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    """It counts as overload, not as a defect."""
    engine.error = MemoryError()
    response = await client.post(PATH, json={"prompt": ["a", "b"]})
    failure(response, 503, "out_of_memory")
    assert int(response.headers["retry-after"]) >= 1


async def test_a_failure_in_a_stream_is_its_last_event(
    client: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    """The status is already sent, so the stream has an error and no [DONE]."""
    lines: list[str] = []
    body = {"prompt": ["a"], "stream": True, "max_tokens": 9, "echo": True}
    original = engine.step

    def step(items: Any) -> Any:
        if any(item.sequence.written == 3 for item in items):
            raise RuntimeError("inner detail")
        return original(items)

    engine.step = step  # type: ignore[method-assign]
    async with client.stream("POST", PATH, json=body) as response:
        lines = [line async for line in response.aiter_lines() if line]
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "internal_error"
    assert "inner detail" not in "".join(lines)


async def test_texts_are_counted_under_their_own_modes(client: httpx.AsyncClient) -> None:
    """Questions count apart from completions, and refusals apart from both."""
    await text(client, max_tokens=4)
    await client.post(PATH, json={"prompt": "a", "best_of": 2})
    assert await sample(client, 'mcq_requests_total{mode="completion",outcome="answered"}') == 1
    assert await sample(client, 'mcq_requests_total{mode="completion",outcome="invalid-question"}') == 1
    assert await sample(client, 'mcq_tokens_total{type="completion"}') == 4
    operation = 'gen_ai_operation_name="text_completion",gen_ai_request_model="fake/model"'
    assert await sample(client, f"gen_ai_server_request_duration_seconds_count{{{operation}}}") == 1


async def test_an_echo_is_no_first_token(client: httpx.AsyncClient) -> None:
    """The time to the first token is that of a token that the model wrote."""
    name = 'seconds_count{gen_ai_operation_name="text_completion",gen_ai_request_model="fake/model"}'
    await complete(client, echo=True, max_tokens=0)
    assert await sample(client, f"gen_ai_server_time_to_first_token_{name}") == 0
    await complete(client, echo=True, max_tokens=1)
    assert await sample(client, f"gen_ai_server_time_to_first_token_{name}") == 1
    assert await sample(client, f"gen_ai_server_time_per_output_token_{name}") == 0
