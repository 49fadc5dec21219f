"""Read a quantised GGUF file of the qwen2 architecture as a model in the hub's layout.

transformers reads such files too, but dequantises the whole model into memory: more than a pod has.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from gguf import GGUFReader, ReaderTensor, dequantize

from mcq_service.model_store.catalogue import GGUFWeights
from mcq_service.model_store.convert.tensors import PIECE, FloatArray, Json, Tensor
from mcq_service.model_store.errors import ConversionFailed

_TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NAME = re.compile(r"(?:blk\.(?P<layer>\d+)\.)?(?P<part>\w+)\.(?P<kind>weight|bias)")
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4  # kinds of token

# The pattern of Qwen2's own tokenizer.json; the GGUF file only says "qwen2".
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class GGUFModel:
    """An open file. Raises ConversionFailed if it is damaged or of another architecture."""

    def __init__(self, path: Path, gguf: GGUFWeights) -> None:
        """Open `path` and read only its layout."""
        self._gguf = gguf
        try:
            self._reader = GGUFReader(path)
        except (ValueError, OSError, IndexError, KeyError) as error:
            raise ConversionFailed(f"{path.name} can't be read as GGUF ({error}): fetch it again.") from error
        if (architecture := self._value("general.architecture")) != "qwen2":
            raise ConversionFailed(
                f"{path.name} has the architecture {architecture}; only qwen2 is supported."
            )

    def _value(self, key: str) -> object:
        field = self._reader.get_field(key)
        if field is None:
            raise ConversionFailed(f"The GGUF file has no {key}: it is not a complete model.")
        return field.contents()

    def _number(self, key: str) -> float:
        value = self._value(f"qwen2.{key}")
        if not isinstance(value, int | float):
            raise ConversionFailed(f"The GGUF file's {key} is not a number: it is not a complete model.")
        return value

    def _strings(self, key: str) -> list[str]:
        value = self._value(f"tokenizer.{key}")
        if not isinstance(value, list):
            raise ConversionFailed(f"The GGUF file's {key} is not a list: it is not a complete model.")
        return [str(each) for each in value]

    def tensors(self) -> list[Tensor]:
        """Return the weights under the hub's names; reading them dequantises them.

        If the file has a tied matrix twice, use the output's copy: it has the finer quantisation.
        """
        tensors = {name: stored for stored in self._reader.tensors if (name := _hub_name(stored.name))}
        if self._gguf.tied and (output := tensors.pop("lm_head.weight", None)):
            tensors["model.embed_tokens.weight"] = output
        return [Tensor(name, _shape(stored), partial(_pieces, stored)) for name, stored in tensors.items()]

    def config(self) -> Json:
        """Return the model's config.json."""
        vocabulary = self._strings("ggml.tokens")
        return {
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "attention_dropout": 0.0,
            "bos_token_id": self._token("bos"),
            "eos_token_id": self._token("eos"),
            "hidden_act": "silu",
            "hidden_size": int(self._number("embedding_length")),
            "initializer_range": 0.02,
            "intermediate_size": int(self._number("feed_forward_length")),
            "max_position_embeddings": int(self._number("context_length")),
            "num_attention_heads": int(self._number("attention.head_count")),
            "num_hidden_layers": int(self._number("block_count")),
            "num_key_value_heads": int(self._number("attention.head_count_kv")),
            # Stored as float32, which turns 1e-06 into 9.999999974752427e-07.
            "rms_norm_eps": float(f"{self._number('attention.layer_norm_rms_epsilon'):.6g}"),
            "rope_theta": float(self._number("rope.freq_base")),
            "tie_word_embeddings": self._gguf.tied,
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": len(vocabulary),
        }

    def _token(self, kind: str) -> int:
        value = self._value(f"tokenizer.ggml.{kind}_token_id")
        if not isinstance(value, int):
            raise ConversionFailed(
                f"The GGUF file's {kind} token is not a number: it is not a complete model."
            )
        return value

    def companions(self) -> dict[str, str]:
        """Return the text files beside the weights, by name. Raises ConversionFailed for another vocabulary."""
        tokens, merges = self._strings("ggml.tokens"), self._strings("ggml.merges")
        kinds = [int(kind) for kind in self._strings("ggml.token_type")]
        vocabulary = {token: index for index, token in enumerate(tokens) if kinds[index] == _NORMAL}
        self._require_original(vocabulary, merges)
        added = [
            _added(index, token)
            for index, token in enumerate(tokens)
            if kinds[index] in {_CONTROL, _USER_DEFINED}
        ]
        end, pad = self._token("eos"), self._token("padding")
        tokenizer = {
            "tokenizer_class": "Qwen2Tokenizer",
            "add_bos_token": False,
            "add_prefix_space": False,
            "bos_token": None,
            "clean_up_tokenization_spaces": False,
            "eos_token": tokens[end],
            "errors": "replace",
            "model_max_length": int(self._number("context_length")),
            "pad_token": tokens[pad],
            "split_special_tokens": False,
            "unk_token": None,
        }
        generation = {
            "bos_token_id": self._token("bos"),
            "eos_token_id": [end, pad],
            "pad_token_id": pad,
        }
        return {
            "tokenizer.json": _json(_tokenizer(vocabulary, merges, added)),
            "tokenizer_config.json": _json(tokenizer),
            "chat_template.jinja": str(self._value("tokenizer.chat_template")),
            "generation_config.json": _json(generation),
        }

    def _require_original(self, vocabulary: dict[str, int], merges: list[str]) -> None:
        """Require the model's own vocabulary and merges, by the digests of vocab.json and merges.txt."""
        as_json = json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":")).encode()
        as_text = "".join(f"{merge}\n" for merge in merges).encode()
        for name, data, expected in (
            ("vocab.json", as_json, self._gguf.vocabulary),
            ("merges.txt", as_text, self._gguf.merges),
        ):
            if (digest := hashlib.sha256(data).hexdigest()) != expected:
                raise ConversionFailed(
                    f"The GGUF file's tokenizer gives a {name} with SHA-256 {digest}, not the model's own "
                    f"{expected}: these are not the weights of that model."
                )


def _hub_name(name: str) -> str | None:
    """Return a tensor's name in the hub's layout; None if the hub's models compute it themselves."""
    match = _NAME.fullmatch(name)
    if match is None or match["part"] == "rope_freqs":
        return None
    names = _TOP if match["layer"] is None else _BLOCK
    if match["part"] not in names:
        raise ConversionFailed(f"The GGUF file holds {name}, which the qwen2 architecture does not have.")
    prefix = "" if match["layer"] is None else f"model.layers.{match['layer']}."
    return f"{prefix}{names[match['part']]}.{match['kind']}"


def _shape(stored: ReaderTensor) -> tuple[int, ...]:
    return tuple(int(length) for length in reversed(stored.shape))  # GGUF counts the fastest axis first


def _pieces(stored: ReaderTensor) -> Iterator[FloatArray]:
    rows = max(1, PIECE // int(stored.shape[0]))
    data = stored.data if stored.data.ndim > 1 else stored.data.reshape(1, -1)
    for begin in range(0, data.shape[0], rows):
        yield dequantize(data[begin : begin + rows], stored.tensor_type)


def _added(index: int, token: str) -> Json:
    # The file marks every <|…|> as a control token, but Qwen's tokenizer shows those for fill-in-the-middle.
    shown = token.startswith(("<|fim_", "<|repo_", "<|file_")) or not token.startswith("<|")
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": index, "content": token} | flags | {"special": not shown}


def _tokenizer(vocabulary: dict[str, int], merges: list[str], added: list[Json]) -> Json:
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": _SPLIT}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_]},
        "post_processor": bytes_,
        "decoder": bytes_,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": vocabulary,
            "merges": merges,
        },
    }


def _json(content: Json) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)
