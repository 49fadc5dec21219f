"""What the int8 engine reads: one file of packed matrices, laid out as its products stream them.

A matrix lies in panels of 64 output channels; in a panel, groups of 4 consecutive inputs follow each other, each for
all 64 channels: bytes [inputs / 4][64][4]. A byte is a weight divided by its channel's scale, plus 128. Heads are
padded to multiples of 16, everything else to multiples of 64, with zeros. Queries, keys and values are one matrix,
and so are the MLP's gate and up, in turns of 16 channels. The file is in the safetensors format.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcq_service.models.errors import UnsupportedArchitecture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "model.int8.safetensors"
FORMAT = "mcq-int8-1"
PANEL = 64
HEAD_MULTIPLE = 16
GATE_TURN = 16
OFFSET = 128


def padded(size: int, multiple: int = PANEL) -> int:
    """The next multiple that `size` fits in."""
    return -(-size // multiple) * multiple


@dataclass(frozen=True)
class Shape:
    """The sizes of a Qwen2 model."""

    layers: int
    hidden: int
    inner: int
    vocabulary: int
    heads: int
    kv_heads: int
    head: int
    context: int
    tied: bool
    epsilon: float
    rope_theta: float

    @property
    def padded_head(self) -> int:
        """Channels of a head as packed."""
        return padded(self.head, HEAD_MULTIPLE)

    @property
    def padded_qkv(self) -> int:
        """Channels of the matrix of queries, keys and values."""
        return padded((self.heads + 2 * self.kv_heads) * self.padded_head)

    @property
    def padded_attention(self) -> int:
        """Inputs of the attention's output matrix."""
        return padded(self.heads * self.padded_head)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape:
        """From a model's config.json. Raises UnsupportedArchitecture."""
        if reason := _obstacle(config):
            msg = (
                f"The int8 engine can't run this model: {reason}. Use the precision float32 or bfloat16, which "
                "transformers runs."
            )
            raise UnsupportedArchitecture(msg)
        heads = config["num_attention_heads"]
        return cls(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            inner=config["intermediate_size"],
            vocabulary=config["vocab_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads", heads),
            head=config.get("head_dim") or config["hidden_size"] // heads,
            context=config.get("max_position_embeddings", 32768),
            tied=config.get("tie_word_embeddings", False),
            epsilon=config.get("rms_norm_eps", 1e-6),
            rope_theta=float(_rope(config).get("rope_theta", 10000.0)),
        )


def has_int8(directory: Path) -> bool:
    """Whether the model of a prepared directory could be packed."""
    try:
        Shape.of(json.loads((directory / "config.json").read_bytes()))
    except UnsupportedArchitecture:
        return False
    except (OSError, ValueError, KeyError):
        return True  # damaged: not for us to say
    return True


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rotary embedding's parameters, which newer configs keep in a table of their own."""
    table = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return {**({"rope_theta": config["rope_theta"]} if "rope_theta" in config else {}), **table}


def _obstacle(config: Mapping[str, Any]) -> str | None:
    if (kind := config.get("model_type")) != "qwen2":
        return f"its architecture is {kind}, and only qwen2 is supported"
    rope = _rope(config)
    if (scaling := rope.get("rope_type", rope.get("type", "default"))) != "default":
        return f"its positions are scaled ({scaling})"
    if config.get("use_sliding_window"):
        return "its attention has a sliding window"
    if (activation := config.get("hidden_act", "silu")) != "silu":
        return f"its activation is {activation}"
    return None
