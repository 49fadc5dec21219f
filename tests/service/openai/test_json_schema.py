"""Chats with a response format: the text follows the schema, whatever the model would write."""

import json
from typing import Any

import httpx
import pytest
from tests.service.openai.test_chat import MESSAGES, PATH, chat, chunks

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
