"""Models of other families, from a directory of their files to an answer."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from tests.service.fakes import ANSWER, QUESTION, Replica
from tests.service.tiny_int8 import ARCHITECTURES, CONTEXT, write_tiny_int8
from tests.service.tokens import write_small_tokenizer
from transformers import AutoModelForCausalLM, Gemma3TextConfig

from mcq_service.engine import Tokenizer
from mcq_service.model_store import int8_layout
from mcq_service.prompts import ChatTemplate, Forms
from mcq_service.runtime.loading import load
from mcq_service.runtime.settings import Settings

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message.role }}]{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
BEGIN = "<|endoftext|>"


def write_model(folder: Path, architecture: str) -> None:
    """Write a random model with a tokenizer and a chat template, as the hub has it."""
    if architecture == "gemma3_text":
        torch.manual_seed(3)
        config = Gemma3TextConfig(
            vocab_size=300, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, max_position_embeddings=CONTEXT, sliding_window=64,
        )  # fmt: skip
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    else:
        write_tiny_int8(folder, architecture)
        (folder / int8_layout.FILE).unlink()
    write_small_tokenizer(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    begin = next(each["id"] for each in tokenizer["added_tokens"] if each["content"] == BEGIN)
    first = {"SpecialToken": {"id": BEGIN, "type_id": 0}}
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [first, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {BEGIN: {"id": BEGIN, "ids": [begin], "tokens": [BEGIN]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": BEGIN, "chat_template": TEMPLATE}))


async def loaded(folder: Path, tmp_path: Path, replica: Replica) -> Any:
    """Load the model into the replica; return its backend."""
    settings = Settings(
        model_uri=f"file://{folder}",
        model_cache=tmp_path / "cache",
        default_mode="explain",
        context_length=CONTEXT,
    )
    await load(settings, replica.lifecycle, metrics=replica.metrics, tracing=replica.tracing)
    return replica.lifecycle.backend


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "gemma3_text"])
async def test_a_model_answers_in_its_own_form(
    tmp_path: Path, replica: Replica, client: httpx.AsyncClient, architecture: str
) -> None:
    """int8 where the engine has the architecture, else in floats; the prompt is a conversation of its template."""
    folder = tmp_path / "model"
    folder.mkdir()
    write_model(folder, architecture)
    backend = await loaded(folder, tmp_path, replica)
    try:
        answer = (await client.post(ANSWER, json={**QUESTION, "max_reasoning_tokens": 3})).json()
        chat = {"messages": [{"role": "user", "content": "Why?"}], "max_tokens": 2, "temperature": 0}
        reply = (await client.post("/v1/chat/completions", json=chat)).json()
        completion = (await client.post("/v1/completions", json={"prompt": "Why", "max_tokens": 1})).json()
    finally:
        await backend.stop()
    assert ("int8" in backend.engine) is (architecture != "gemma3_text")
    assert sum(each["probability"] for each in answer["probabilities"]) == pytest.approx(1)
    template = ChatTemplate(TEMPLATE, tokens={"bos_token": BEGIN})
    assert backend.forms.answer_first == Forms(template).answer_first
    assert backend.forms.answer_first.prefix.startswith(f"{BEGIN}[system]You answer")
    assert backend.identity.prompt_digest == backend.forms.answer_first.digest
    tokenizer = Tokenizer(folder)
    assert reply["usage"]["prompt_tokens"] == len(tokenizer.encode_trusted(f"{BEGIN}[user]Why?[assistant]"))
    assert completion["usage"]["prompt_tokens"] == 1 + len("Why")
