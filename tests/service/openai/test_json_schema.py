"""Chats with a response format: the text follows the schema, whatever the model would write."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
from llguidance import LLMatcher
from tests.service.fakes import Replica, until
from tests.service.openai.test_chat import MESSAGES, PATH, chat, chunks

from mcq_service.engine import BadSchema, JSONGrammar, JSONGrammars, Tokenizer, json_grammar
from mcq_service.openai import Generation

SCHEMA = {
    "type": "object",
    "properties": {"sure": {"type": "boolean"}, "digit": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["sure", "digit"],
    "additionalProperties": False,
}


def following(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "it", "schema": schema, "strict": True}}


@pytest.mark.parametrize("temperature", [0, 1])
async def test_the_text_follows_the_schema(client: httpx.AsyncClient, temperature: float) -> None:
    """It ends where the schema does, at any temperature."""
    body = {"temperature": temperature, "seed": 3, "n": 4, "response_format": following(SCHEMA)}
    for choice in (await chat(client, **body))["choices"]:
        value = json.loads(choice["message"]["content"])
        assert value.keys() == {"sure", "digit"}
        assert isinstance(value["sure"], bool)
        assert value["digit"] in range(10)
        assert choice["finish_reason"] == "stop"


async def test_a_stream_has_the_same_text(client: httpx.AsyncClient) -> None:
    body = {"response_format": following(SCHEMA), "logprobs": True}
    [whole] = (await chat(client, **body))["choices"]
    parts = [chunk["choices"][0] for chunk in await chunks(client, **body)]
    assert "".join(part["delta"].get("content", "") for part in parts) == whole["message"]["content"]
    assert all(token["logprob"] <= 0 for token in whole["logprobs"]["content"])


async def test_a_limit_cuts_the_text_off(client: httpx.AsyncClient) -> None:
    [choice] = (await chat(client, response_format=following(SCHEMA), max_tokens=2))["choices"]
    assert choice["finish_reason"] == "length"


async def test_a_json_object_has_no_schema(client: httpx.AsyncClient) -> None:
    [choice] = (await chat(client, response_format={"type": "json_object"}, max_tokens=1))["choices"]
    assert choice["message"]["content"] == "{"


async def test_text_is_the_default(client: httpx.AsyncClient) -> None:
    assert (await chat(client, response_format={"type": "text"}))["choices"] == (await chat(client))[
        "choices"
    ]


@pytest.mark.parametrize(
    ("schema", "detail"),
    [
        ({"type": "no such type"}, "Invalid type"),
        ({"$ref": "#/nowhere"}, "Pointer '/nowhere' does not exist"),
        ({"not": {}}, "Unimplemented keys"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"enum": ["x" * 70_000]}, "more than 65536 characters"),
        ({"allOf": [{"properties": {f"p{each}": {"type": "string"}}} for each in range(1000)]}, "too large"),
    ],
)
async def test_a_schema_that_no_text_can_follow_is_refused(
    client: httpx.AsyncClient, schema: dict[str, Any], detail: str
) -> None:
    body = {"messages": MESSAGES, "response_format": following(schema)}
    response = await client.post(PATH, json=body)
    error = response.json()["error"]
    assert response.status_code == 400
    assert error["param"] == "response_format.json_schema.schema"
    assert detail in error["message"]


async def test_an_unknown_format_is_refused(client: httpx.AsyncClient) -> None:
    body = {"messages": MESSAGES, "response_format": {"type": "xml"}}
    response = await client.post(PATH, json=body)
    assert response.status_code == 400
    assert "json_schema" in response.json()["error"]["message"]


@dataclass
class Compiler:
    """Holds each schema until `gate` is set. `requested` counts the requests, `most` the schemas at once."""

    gate: threading.Event = field(default_factory=threading.Event)
    requested: int = 0
    running: int = 0
    most: int = 0

    def has(self, requested: int) -> bool:
        return self.requested == requested and self.running > 0


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Compiler]:
    state = Compiler()
    compile_, grammar = JSONGrammars.compile, Generation.grammar

    def hold(self: JSONGrammars, schema: dict[str, Any]) -> JSONGrammar:
        state.running += 1
        state.most = max(state.most, state.running)
        assert state.gate.wait(10)
        state.running -= 1
        return compile_(self, schema)

    async def count(self: Generation, schema: dict[str, Any]) -> JSONGrammar:
        state.requested += 1
        return await grammar(self, schema)

    monkeypatch.setattr(JSONGrammars, "compile", hold)
    monkeypatch.setattr(Generation, "grammar", count)
    yield state
    state.gate.set()


async def test_schemas_of_clients_that_left_are_compiled_one_at_a_time(
    client: httpx.AsyncClient, compiler: Compiler
) -> None:
    """A compilation can't be stopped: its place is free when it ends, not when its client leaves."""
    for number in range(3):
        leaving = asyncio.create_task(chat(client, response_format=following(SCHEMA)))
        await until(partial(compiler.has, number + 1))
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    staying = asyncio.create_task(chat(client, response_format=following(SCHEMA)))
    await until(partial(compiler.has, 4))
    compiler.gate.set()
    assert (await staying)["choices"]
    assert compiler.most == 1


async def test_waiting_for_a_schema_has_a_deadline(
    client: httpx.AsyncClient, unloaded: Replica, compiler: Compiler
) -> None:
    unloaded.load(deadline_seconds=0.2)
    body = {"messages": MESSAGES, "response_format": following(SCHEMA)}
    assert (await client.post(PATH, json=body)).status_code == 504


def test_a_refused_schema_is_compiled_once(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    matcher = MagicMock(wraps=LLMatcher)
    monkeypatch.setattr(json_grammar, "LLMatcher", matcher)
    grammars = JSONGrammars(tokenizer)
    for _ in range(2):
        with pytest.raises(BadSchema, match="Invalid type"):
            grammars.compile({"type": "no such type"})
    # An earlier test's thread may still compile another schema.
    schemas = [call.args[0] for call in matcher.grammar_from_json_schema.call_args_list]
    assert schemas.count('{"type": "no such type"}') == 1


def test_a_panic_of_the_compiler_is_no_answer_to_a_client(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client learns what to do instead."""
    matcher = MagicMock()
    matcher.return_value.get_error.return_value = "panic: index out of bounds\n<backtrace>\n0: rust_begin"
    monkeypatch.setattr(json_grammar, "LLMatcher", matcher)
    with pytest.raises(BadSchema) as error:
        JSONGrammars(tokenizer).compile(SCHEMA)
    assert str(error.value) == "the schema is too complex: simplify it"


def test_a_schema_that_takes_too_long_is_refused_once(tokenizer: Tokenizer) -> None:
    """A thread can't be ended, so a process with limits compiles each schema first: minutes become seconds."""
    grammars = JSONGrammars(tokenizer)
    for _ in range(2):
        with pytest.raises(BadSchema, match="too complex: simplify it"):
            grammars.compile({"type": "integer", "multipleOf": 10_000_019})
    grammars.compile({"type": "integer", "multipleOf": 7})


def test_a_schema_is_overload_if_no_process_can_start(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/none")
    with pytest.raises(MemoryError, match="No such file"):
        JSONGrammars(tokenizer).compile(SCHEMA)
