"""A model for the real int8 engine that a test can build."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from mcq_service.model_store import int8_layout
from mcq_service.model_store.convert import int8_file, safetensors_file

CONTEXT = 512
VOCABULARY = 1003


LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}  # fmt: skip
ARCHITECTURES: dict[str, tuple[type[PretrainedConfig], dict[str, Any]]] = {
    "qwen2": (Qwen2Config, {}),
    "qwen3": (Qwen3Config, {"head_dim": 24, "tie_word_embeddings": False}),
    "llama": (LlamaConfig, {}),
    "llama3": (LlamaConfig, {"rope_parameters": LLAMA3}),
    "linear": (
        LlamaConfig,
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}},
    ),
    "mistral": (MistralConfig, {"sliding_window": None, "head_dim": 16}),
}
"""Each supported architecture, and each form of the rotary embedding."""


def write_tiny_int8(path: Path, architecture: str = "qwen2") -> None:
    """Write a random, packed model of two layers, with sizes that fill no panel, and its float weights beside it."""
    torch.manual_seed(3)
    kind, fields = ARCHITECTURES[architecture]
    sizes = {
        "vocab_size": VOCABULARY, "hidden_size": 96, "intermediate_size": 200, "num_hidden_layers": 2,
        "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT,
        "initializer_range": 0.1, "tie_word_embeddings": True,
    }  # fmt: skip
    model = AutoModelForCausalLM.from_config(kind(**sizes | fields))
    for name, weights in model.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(weights, 0.5, 1.5)
        elif "bias" in name:
            torch.nn.init.uniform_(weights, -0.5, 0.5)
    model.save_pretrained(path)
    read = json.loads((path / "config.json").read_text())
    written: list[int] = []
    tensors = safetensors_file.read(path / "model.safetensors")
    int8_file.write(path / int8_layout.FILE, tensors, int8_layout.Shape.of(read), written.append)
    assert sum(written) == sum(tensor.size for tensor in tensors), "progress counts every weight"
