"""Conversion of GGUF files and hub models to the engine's weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hack.weights.packages import PackagedWeights
from safetensors.torch import load_file
from tests.service.model_store import tiny
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from mcq_service.model_store.convert import convert, safetensors_file
from mcq_service.model_store.errors import ConversionFailed
from mcq_service.model_store.precision import Precision
from mcq_service.model_store.sources import Fetched


def _quiet(_fraction: float | None, _detail: str) -> None:
    pass


def _from_gguf(tmp_path: Path, precision: Precision, *, output: bool = False) -> Path:
    embedding = tiny.weights(seed=7)["model.embed_tokens.weight"] if output else None
    index = tiny.make_index(tmp_path / "index", output=embedding)
    return _converted(index.folder, index.weights, tmp_path / "out", precision)


def _converted(folder: Path, packaged: PackagedWeights | None, into: Path, precision: Precision) -> Path:
    into.mkdir()
    files = (folder / packaged.file,) if packaged else tuple(sorted(folder.glob("*.safetensors")))
    convert(Fetched(folder, files, "sha256:0", packaged), into, precision, _quiet)
    return into


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gguf_file_becomes_one_safetensors_file_with_the_dequantised_weights(
    tmp_path: Path, precision: Precision
) -> None:
    out = _from_gguf(tmp_path, precision)
    state = load_file(out / "model.safetensors")
    expected = {name: torch.from_numpy(tiny.dequantised(value)) for name, value in tiny.weights().items()}
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(state[name], value.to(getattr(torch, precision))), name


def test_the_finer_copy_of_a_tied_matrix_is_used(tmp_path: Path) -> None:
    state = load_file(_from_gguf(tmp_path, "float32", output=True) / "model.safetensors")
    assert "lm_head.weight" not in state
    finer = tiny.weights(seed=7)["model.embed_tokens.weight"]
    assert torch.equal(state["model.embed_tokens.weight"], torch.from_numpy(finer))


def test_the_engine_loads_a_converted_model_completely(tmp_path: Path) -> None:
    out = _from_gguf(tmp_path, "float32")
    model, info = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert AutoConfig.from_pretrained(out).rms_norm_eps == 1e-6
    state = {name: torch.from_numpy(tiny.dequantised(value)) for name, value in tiny.weights().items()}
    reference = AutoModelForCausalLM.from_config(model.config)
    reference.load_state_dict(state, strict=False)
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    assert torch.allclose(model(tokens).logits, reference.eval()(tokens).logits, atol=1e-6)


def test_the_tokenizer_of_a_gguf_file_keeps_special_tokens_template_and_text(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(_from_gguf(tmp_path, "float32"))
    assert len(tokenizer) == len(tiny.TOKENS) - 2, "padding of the vocabulary is no token"
    assert tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"]) == [tiny.END, tiny.END_OF_TEXT]
    text = "ab <|im_start|> é\n[PAD262]"
    tokens = tokenizer(text).input_ids
    assert tokens[0] == tiny.TOKENS.index("ab")
    assert tiny.TOKENS.index("<|im_start|>") in tokens
    assert tokenizer.decode(tokens) == text
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert chat == "<|im_start|>hi<|im_end|>"


def test_a_gguf_file_with_another_vocabulary_is_refused(tmp_path: Path) -> None:
    index = tiny.make_index(tmp_path / "index")
    other = PackagedWeights(**{**vars(index.weights), "vocabulary": "0" * 64})
    with pytest.raises(ConversionFailed, match=r"vocab\.json with SHA-256"):
        _converted(index.folder, other, tmp_path / "out", "float32")


def test_a_damaged_gguf_file_is_refused(tmp_path: Path) -> None:
    index = tiny.make_index(tmp_path / "index")
    (index.folder / "tiny.gguf").write_bytes(b"nonsense" * 100)
    with pytest.raises(ConversionFailed, match="can't be read as GGUF"):
        _converted(index.folder, index.weights, tmp_path / "out", "float32")


@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
def test_a_hub_model_is_converted_and_its_tied_output_stored_once(tmp_path: Path, stored: Precision) -> None:
    tiny.make_repository(tmp_path / "repository", precision=stored)
    out = _converted(tmp_path / "repository", None, tmp_path / "out", "float32")
    state = load_file(out / "model.safetensors")
    assert state.keys() == tiny.weights().keys()
    for name, value in tiny.weights().items():
        assert torch.equal(state[name], torch.from_numpy(value).to(getattr(torch, stored)).float()), name
    config = json.loads((out / "config.json").read_text())
    assert config["dtype"] == "float32"
    assert "torch_dtype" not in config


def test_tensors_begin_at_a_page_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors_file.write(path, tiny.as_tensors(tiny.weights()), "float32", lambda _count: None)
    with path.open("rb") as file:
        assert (8 + int.from_bytes(file.read(8), "little")) % 4096 == 0


def test_bfloat16_is_rounded_as_torch_rounds_it(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(0, 1, 10_000).astype(np.float32)
    values[:4] = [0.0, -0.0, 1.00390625, 1.01171875]  # signed zeros, and two ties
    path = tmp_path / "model.safetensors"
    safetensors_file.write(path, tiny.as_tensors({"x": values}), "bfloat16", lambda _count: None)
    assert torch.equal(load_file(path)["x"], torch.from_numpy(values).to(torch.bfloat16))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    values = {"x": np.array([1.0, np.nan], dtype=np.float32)}
    with pytest.raises(ConversionFailed, match="x has weights that are not numbers"):
        safetensors_file.write(tmp_path / "m", tiny.as_tensors(values), "float32", lambda _count: None)


def test_a_sharded_model_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    tiny.make_repository(tmp_path / "repository")
    listed = {"weight_map": {"model.norm.weight": "a", "model.layers.9.x": "b"}}
    (tmp_path / "repository" / "model.safetensors.index.json").write_text(json.dumps(listed))
    with pytest.raises(ConversionFailed, match=r"lack 1 tensors, the first is model\.layers\.9\.x"):
        _converted(tmp_path / "repository", None, tmp_path / "out", "float32")


def test_the_refusal_of_a_quantised_hub_model_names_its_type(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    header = json.dumps({"x": {"dtype": "I8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(ConversionFailed, match="stores x as I8"):
        safetensors_file.read(path)
