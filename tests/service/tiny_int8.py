"""A model for the real int8 engine that a test can build."""

import json
from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from mcq_service.model_store import int8_layout
from mcq_service.model_store.convert import int8_file, safetensors_file

CONTEXT = 512
VOCABULARY = 1003


def write_tiny_int8(path: Path) -> None:
    """Write a random, packed model of two layers, with sizes that fill no panel, and its float weights beside it."""
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=VOCABULARY, hidden_size=96, intermediate_size=200, num_hidden_layers=2, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=CONTEXT, initializer_range=0.1, tie_word_embeddings=True,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(path)
    read = json.loads((path / "config.json").read_text())
    written: list[int] = []
    tensors = safetensors_file.read(path / "model.safetensors")
    int8_file.write(path / int8_layout.FILE, tensors, int8_layout.Shape.of(read), written.append)
    assert sum(written) == sum(tensor.size for tensor in tensors), "progress counts every weight"
