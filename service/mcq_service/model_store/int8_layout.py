"""The int8 engine's file of packed matrices, in the order in which its products read them.

A matrix consists of panels of 64 output channels. A panel consists of groups of 4 consecutive inputs, each for all 64
channels: bytes [inputs / 4][64][4]. A byte is a weight divided by its channel's scale, plus 128. Heads are padded with
zeros to multiples of 16, everything else to multiples of 64. Queries, keys and values form one matrix; so do the MLP's
gate and up, in alternating blocks of 16 channels. The file is in the safetensors format.

Native code gets bare pointers into the file, so a damaged file must never reach it: `offsets` checks each tensor's
type, shape and offset against the model's config, and `Shape.of` checks the config.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mcq_service.model_store import safetensors_header
from mcq_service.model_store.errors import ModelDamaged, UnsupportedArchitecture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "model.int8.safetensors"
FORMAT = "mcq-int8-1"
PANEL = 64
HEAD_MULTIPLE = 16
GATE_BLOCK = 16
OFFSET = 128
_LARGEST = 1 << 24
"""Far above the sizes of any model, and far below the range of native code's integers."""


def padded(size: int, multiple: int = PANEL) -> int:
    """Round `size` up to a multiple."""
    return -(-size // multiple) * multiple


@dataclass(frozen=True)
class Family:
    """How an architecture differs from the others: biases of queries, keys and values, and norms of their heads."""

    biased: bool = False
    head_norms: bool = False


FAMILIES = {
    "qwen2": Family(biased=True),
    "qwen3": Family(head_norms=True),
    "llama": Family(),
    "mistral": Family(),
}
"""The supported architectures, by `model_type`."""


@dataclass(frozen=True)
class RopeScaling:
    """A rotary embedding for longer texts: slower rotations, all of them (linear) or the slow ones (llama3).

    Source: transformers, modeling_rope_utils.py. `original` is the context before, in tokens.
    """

    type: Literal["linear", "llama3"]
    factor: float
    low_frequency: float = 1.0
    high_frequency: float = 4.0
    original: int = 8192


@dataclass(frozen=True)
class Shape:
    """The sizes of a model, and what its architecture has."""

    layers: int
    hidden: int
    inner: int
    vocabulary: int
    heads: int
    kv_heads: int
    head: int
    context: int
    tied: bool
    biased: bool
    head_norms: bool
    epsilon: float
    rope_theta: float
    rope_scaling: RopeScaling | None

    @property
    def padded_head(self) -> int:
        """Channels of a packed head."""
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
        """Read the sizes from a model's config.json. Raises UnsupportedArchitecture."""
        try:
            reason = _obstacle(config)
            shape = None if reason else cls._read(config)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise _unsupported(f"its config.json can't be read ({error!r})") from error
        if shape is None:
            raise _unsupported(str(reason))
        if reason := _impossible(shape):
            raise _unsupported(f"its config.json says {reason}")
        return shape

    @classmethod
    def _read(cls, config: Mapping[str, Any]) -> Shape:
        heads = config["num_attention_heads"]
        family = FAMILIES[config["model_type"]]
        return cls(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            inner=config["intermediate_size"],
            vocabulary=config["vocab_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads", heads),
            head=config.get("head_dim") or config["hidden_size"] // heads,
            context=config.get("max_position_embeddings", 32768),
            tied=bool(config.get("tie_word_embeddings", False)),
            biased=family.biased,
            head_norms=family.head_norms,
            epsilon=float(config.get("rms_norm_eps", 1e-6)),
            rope_theta=float(_rope(config).get("rope_theta", 10000.0)),
            rope_scaling=_rope_scaling(_rope(config)),
        )


class PackedTensor(NamedTuple):
    """A tensor of the file: its safetensors type and its shape."""

    dtype: str
    shape: tuple[int, ...]


def layout(shape: Shape) -> dict[str, PackedTensor]:
    """Return the tensors of a model's file by name, in the order of a forward pass."""
    tensors: dict[str, PackedTensor] = {}
    hidden, inner, vocabulary = padded(shape.hidden), padded(shape.inner), padded(shape.vocabulary)

    def vector(name: str, size: int) -> None:
        tensors[name] = PackedTensor("F32", (size,))

    def matrix(name: str, channels: int, inputs: int) -> None:
        tensors[f"{name}.panels"] = PackedTensor("U8", (channels // PANEL, inputs // 4, PANEL, 4))
        vector(f"{name}.scales", channels)

    matrix("embedding", vocabulary, hidden)
    for layer in (f"layers.{index}" for index in range(shape.layers)):
        vector(f"{layer}.attention_norm", hidden)
        matrix(f"{layer}.qkv", shape.padded_qkv, hidden)
        if shape.head_norms:
            vector(f"{layer}.query_norm", shape.padded_head)
            vector(f"{layer}.key_norm", shape.padded_head)
        vector(f"{layer}.qkv.bias", shape.padded_qkv)
        matrix(f"{layer}.attention_output", hidden, shape.padded_attention)
        vector(f"{layer}.mlp_norm", hidden)
        matrix(f"{layer}.gate_up", 2 * inner, hidden)
        matrix(f"{layer}.down", hidden, inner)
    vector("norm", hidden)
    if not shape.tied:
        matrix("output", vocabulary, hidden)
    return tensors


def offsets(data: memoryview, shape: Shape, path: Path) -> dict[str, int]:
    """Return the offset of each tensor in a mapped file. Raises ModelDamaged."""
    try:
        header = safetensors_header.parse(data, len(data), path.name)
    except safetensors_header.HeaderDamaged as error:
        raise damaged(path, str(error)) from error
    if (format_ := header.metadata.get("format")) != FORMAT:
        raise damaged(path, f"{path.name} has the format {format_}, not {FORMAT}")
    for name, expected in layout(shape).items():
        entry = header.tensors.get(name)
        if entry is None:
            raise damaged(path, f"{path.name} lacks {name}")
        if (entry.dtype, entry.shape) != expected:
            raise damaged(
                path,
                f"{path.name} has {name} as {entry.dtype} {list(entry.shape)}, but by the model's config it is "
                f"{expected.dtype} {list(expected.shape)}",
            )
        if entry.begin % safetensors_header.SIZES[entry.dtype]:
            raise damaged(path, f"{path.name} has {name} at the unaligned offset {entry.begin}")
    return {name: entry.begin for name, entry in header.tensors.items()}


def damaged(path: Path, reason: str) -> ModelDamaged:
    """Return the error for a damaged file of a prepared model."""
    return ModelDamaged(
        f"The prepared model {path.parent} is damaged: {reason}. Delete it, and it will be prepared again."
    )


def _unsupported(reason: str) -> UnsupportedArchitecture:
    return UnsupportedArchitecture(
        f"The int8 engine can't run this model: {reason}. Use the precision float32 or bfloat16, which transformers "
        "runs."
    )


def shape_of(directory: Path) -> Shape:
    """Read the sizes of a prepared model. Raises ModelDamaged or UnsupportedArchitecture."""
    path = directory / "config.json"
    try:
        config = json.loads(path.read_bytes())
        if not isinstance(config, dict):
            raise TypeError("it is not a map")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise damaged(path, f"config.json can't be read ({error})") from error
    return Shape.of(config)


def supports_int8(directory: Path) -> bool:
    """Return whether the int8 engine supports a prepared model; True for a damaged one."""
    try:
        shape_of(directory)
    except UnsupportedArchitecture:
        return False
    except ModelDamaged:
        pass
    return True


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the rotary embedding's parameters; newer configs have them in a table of their own."""
    table = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return {**({"rope_theta": config["rope_theta"]} if "rope_theta" in config else {}), **table}


def _rope_type(rope: Mapping[str, Any]) -> str:
    return str(rope.get("rope_type", rope.get("type", "default")))


def _rope_scaling(rope: Mapping[str, Any]) -> RopeScaling | None:
    match _rope_type(rope):
        case "linear":
            return RopeScaling("linear", float(rope["factor"]))
        case "llama3":
            return RopeScaling(
                "llama3",
                float(rope["factor"]),
                float(rope["low_freq_factor"]),
                float(rope["high_freq_factor"]),
                int(rope["original_max_position_embeddings"]),
            )
    return None


def _obstacle(config: Mapping[str, Any]) -> str | None:
    if (kind := config.get("model_type")) not in FAMILIES:
        return f"its architecture is {kind}, and only {', '.join(FAMILIES)} are supported"
    if (scaling := _rope_type(_rope(config))) not in {"default", "linear", "llama3"}:
        return f"its positions are scaled ({scaling})"
    if config.get("use_sliding_window") or (kind == "mistral" and config.get("sliding_window")):
        return "its attention has a sliding window"
    if kind != "qwen2" and (config.get("attention_bias") or config.get("mlp_bias")):
        return "its matrices have biases"
    if (activation := config.get("hidden_act", "silu")) != "silu":
        return f"its activation is {activation}"
    return None


def _impossible(shape: Shape) -> str | None:
    """Describe a size that is impossible; None if all are possible."""
    sizes = ("layers", "hidden", "inner", "vocabulary", "heads", "kv_heads", "head", "context")
    for name in sizes:
        size = getattr(shape, name)
        if type(size) is not int or not 0 < size <= _LARGEST:
            return f"that {name} is {size!r}"
    if shape.heads % shape.kv_heads:
        return f"that {shape.heads} heads share {shape.kv_heads} heads of keys and values"
    if shape.head % 2:
        return f"that a head has {shape.head} channels, which can't be rotated in pairs"
    if not (0 <= shape.epsilon < 1 and 0 < shape.rope_theta < math.inf):
        return f"that epsilon is {shape.epsilon} and theta {shape.rope_theta}"
    scaling = shape.rope_scaling
    if scaling and not (
        0 < scaling.factor < math.inf
        and 0 < scaling.low_frequency < scaling.high_frequency < math.inf
        and 0 < scaling.original <= _LARGEST
    ):
        return f"that its positions are scaled by {scaling}"
    return None
