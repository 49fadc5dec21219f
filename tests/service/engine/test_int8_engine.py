"""The int8 engine: its results, its memory, and the files that it refuses."""

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.service.tiny_int8 import ARCHITECTURES, CONTEXT, write_tiny_int8
from transformers import AutoModelForCausalLM

from mcq_service.engine import BatchItem, Logits
from mcq_service.engine.errors import Int8Unavailable
from mcq_service.engine.int8 import native
from mcq_service.engine.int8.int8_engine import Int8Engine
from mcq_service.model_store import int8_layout
from mcq_service.model_store.errors import ModelDamaged, UnsupportedArchitecture

PREFIX = [7, 8, 9, 10, 11]
SETS = native.instruction_sets()

pytestmark = pytest.mark.skipif(not SETS, reason="this CPU has no AVX2, or the native library was not built")


@pytest.fixture(params=SETS)
def engine(tiny: Path, request: pytest.FixtureRequest) -> Iterator[Int8Engine]:
    loaded = Int8Engine(tiny, context_length=4096, threads=2, instructions=request.param)
    yield loaded
    loaded.shut_down()


@pytest.fixture(scope="module")
def plain(tiny: Path) -> Any:
    """Return the model in transformers, in float32."""
    return AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)


@torch.inference_mode()
def expected(plain: Any, tokens: list[int]) -> np.ndarray[Any, Any]:
    logits: np.ndarray[Any, Any] = plain(input_ids=torch.tensor([tokens]), use_cache=False).logits[0].numpy()
    return logits


def tokens_of(number: int, count: int) -> list[int]:
    return [(number * 37 + 17 * place) % 1003 for place in range(count)]


def logits(engine: Int8Engine, tokens: list[int]) -> np.ndarray[Any, Any]:
    sequence = engine.open(tokens, room=0)
    [output] = engine.step([BatchItem(sequence, tokens[sequence.length :], logits=Logits.LAST)])
    engine.close(sequence)
    assert output.logits is not None
    row: np.ndarray[Any, Any] = output.logits[0]
    return row


@pytest.mark.parametrize("count", [1, 2, 5, 16, 17, 64, 257, 300])
def test_logits_are_close_to_the_float_models(engine: Int8Engine, plain: Any, count: int) -> None:
    """All tokens are compared, of texts shorter and longer than one pass through the layers."""
    assert_close(engine, plain, tokens_of(1, count))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_computed_on_every_instruction_set(tmp_path: Path, architecture: str) -> None:
    """The texts are longer than the original context of the scaled rotary embedding."""
    write_tiny_int8(tmp_path, architecture)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    results = []
    for each in SETS:
        engine = Int8Engine(tmp_path, context_length=CONTEXT, threads=2, instructions=each)
        assert_close(engine, plain, tokens_of(1, 400))
        results.append(logits(engine, tokens_of(2, 400)))
        engine.shut_down()
    assert all(np.array_equal(each, results[0]) for each in results)


def assert_close(engine: Int8Engine, plain: Any, tokens: list[int]) -> None:
    sequence = engine.open(tokens, room=0)
    [output] = engine.step([BatchItem(sequence, tokens, logits=Logits.EVERY)])
    assert output.logits is not None
    reference = expected(plain, tokens)
    assert output.logits.shape == reference.shape
    errors = np.abs(output.logits - reference).mean(axis=1) / reference.std(axis=1)
    assert errors.max() < 0.1
    for row, reference_row in zip(output.logits, reference, strict=True):
        assert np.corrcoef(row, reference_row)[0, 1] > 0.99


def test_instruction_sets_compute_the_same(tiny: Path) -> None:
    """Equal to the bit, so an exam's result holds on every CPU."""
    if len(SETS) < 2:
        pytest.skip("this CPU has but one")
    texts = [tokens_of(number, count) for number, count in ((1, 3), (2, 40), (3, 300))]
    results = []
    for each in SETS:
        engine = Int8Engine(tiny, context_length=CONTEXT, threads=1, instructions=each)
        results.append([logits(engine, tokens) for tokens in texts])
        engine.shut_down()
    for result in results[1:]:
        for row, reference in zip(result, results[0], strict=True):
            assert np.array_equal(row, reference)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_other_texts_in_a_step_do_not_change_the_logits(tiny: Path, threads: int) -> None:
    """A text's logits are equal to the bit: alone or in a batch, whole or in parts, with any number of threads."""
    alone = Int8Engine(tiny, context_length=CONTEXT, threads=1)
    texts = [tokens_of(number, count) for number, count in ((1, 3), (2, 40), (3, 17), (4, 260))]
    reference = [logits(alone, tokens) for tokens in texts]
    engine = Int8Engine(tiny, context_length=CONTEXT, threads=threads)
    sequences = [engine.open(tokens, room=0) for tokens in texts]
    engine.step([BatchItem(s, tokens[:2]) for s, tokens in zip(sequences, texts, strict=True)])
    outputs = engine.step(
        [BatchItem(s, tokens[2:], logits=Logits.LAST) for s, tokens in zip(sequences, texts, strict=True)]
    )
    for output, right in zip(outputs, reference, strict=True):
        assert output.logits is not None
        assert np.array_equal(output.logits[0], right)
    for each in (alone, engine):
        each.shut_down()


def test_sharing_does_not_change_the_logits(engine: Int8Engine) -> None:
    """Texts share a cached prefix and are forks of each other."""
    texts = [[*PREFIX, *tokens_of(5, 30), *tokens_of(number, 4)] for number in (6, 7)]
    reference = [logits(engine, tokens) for tokens in texts]
    engine.cache_prefix(PREFIX)
    stem = engine.open(texts[0][:35], room=0)
    assert stem.length == len(PREFIX)
    engine.step([BatchItem(stem, texts[0][5:35])])
    forks = [engine.fork(stem, room=4) for _ in texts]
    outputs = engine.step(
        [BatchItem(fork, tokens[35:], logits=Logits.LAST) for fork, tokens in zip(forks, texts, strict=True)]
    )
    for output, right in zip(outputs, reference, strict=True):
        assert output.logits is not None
        assert np.array_equal(output.logits[0], right)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 13])
def test_scores_and_the_greedy_token_are_those_of_the_logits(engine: Int8Engine, count: int) -> None:
    """Equal to the bit in every number of rows: scores are plain sums, logits come from the vector kernels."""
    texts = [tokens_of(number, 9) for number in range(count)]
    items = [
        BatchItem(engine.open(tokens, room=1), tokens, score=list(range(1003)), greedy=1, logits=Logits.LAST)
        for tokens in texts
    ]
    for output in engine.step(items):
        assert output.logits is not None
        assert np.array_equal(output.scores, output.logits[0])
        assert output.greedy == [int(output.logits[0].argmax())]


@pytest.mark.parametrize("kind", [Logits.NONE, Logits.LAST, Logits.EVERY])
def test_a_draft_is_read_as_the_tokens_one_by_one(engine: Int8Engine, kind: Logits) -> None:
    """The greedy tokens, and after forgetting a part of the draft also the logits, are equal to the bit."""
    tokens, draft, other = tokens_of(1, 70), tokens_of(2, 3), tokens_of(3, 5)
    read = [*tokens, *draft]
    greedy = [int(logits(engine, read[:end]).argmax()) for end in range(70, 74)]
    sequence, neighbour = engine.open(read, room=9), engine.open(other, room=0)
    first, _ = engine.step(
        [BatchItem(sequence, read, greedy=4, logits=kind), BatchItem(neighbour, other, greedy=1)]
    )
    assert first.greedy == greedy
    if first.logits is not None:
        assert np.array_equal(first.logits[-1], logits(engine, read))
    engine.forget(sequence, 2)
    assert sequence.length == 71
    [second] = engine.step([BatchItem(sequence, [5, 6], logits=Logits.LAST)])
    assert second.logits is not None
    assert np.array_equal(second.logits[0], logits(engine, [*read[:71], 5, 6]))


def test_closing_frees_the_memory_after_the_forks(engine: Int8Engine) -> None:
    """Closing twice does nothing; a fork keeps the shared part."""
    before = engine.cache_bytes
    stem = engine.open(PREFIX, room=3)
    engine.step([BatchItem(stem, PREFIX)])
    fork = engine.fork(stem, room=3)
    with_fork = engine.cache_bytes
    engine.close(stem)
    engine.close(stem)
    assert with_fork >= engine.cache_bytes > before
    [output] = engine.step([BatchItem(fork, [1, 2, 3], greedy=1)])
    assert output.greedy
    engine.close(fork)
    assert engine.cache_bytes == before


def test_a_sequence_without_room_is_an_error(engine: Int8Engine) -> None:
    """The engine writes no foreign memory and reads no unknown token."""
    sequence = engine.open([1, 2], room=1)
    with pytest.raises(ValueError, match="The tokens exceed the sequence's room"):
        engine.step([BatchItem(sequence, [1] * 200)])
    with pytest.raises(ValueError, match="not in the model's vocabulary"):
        engine.step([BatchItem(sequence, [1003])])
    [output] = engine.step([BatchItem(sequence, [1, 2], greedy=1)])
    assert output.greedy


def test_a_failed_step_has_read_nothing(engine: Int8Engine) -> None:
    """The other items can run again without the bad one and give the same bits."""
    texts = [tokens_of(number, 20) for number in range(3)]
    reference = [logits(engine, tokens) for tokens in texts]
    sequences = [engine.open(tokens, room=0) for tokens in texts]
    items = [
        BatchItem(each, tokens, logits=Logits.LAST) for each, tokens in zip(sequences, texts, strict=True)
    ]
    bad = engine.open([1], room=0)
    for error in ([BatchItem(bad, [1003])], [BatchItem(bad, [1] * 200)]):
        with pytest.raises(ValueError, match=r"not in the model's vocabulary|exceed"):
            engine.step([items[0], *error, *items[1:]])
    assert [each.length for each in sequences] == [0, 0, 0]
    for output, right in zip(engine.step(items), reference, strict=True):
        assert output.logits is not None
        assert np.array_equal(output.logits[0], right)


@contextmanager
def little_memory() -> Iterator[None]:
    """Allow the process 64 MiB more memory, even if the system overcommits (vm.overcommit_memory=1)."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_missing_memory_is_a_memory_error(engine: Int8Engine) -> None:
    """The engine stays usable."""
    reference, before = logits(engine, PREFIX), engine.cache_bytes
    with little_memory(), pytest.raises(MemoryError, match="keys and values"):
        engine.open(PREFIX, room=2**31 - 100)
    assert engine.cache_bytes == before
    assert np.array_equal(logits(engine, PREFIX), reference)


def test_an_instruction_set_the_cpu_lacks_is_refused(tiny: Path) -> None:
    """The error lists the alternatives."""
    with pytest.raises(Int8Unavailable, match="float32 or bfloat16"):
        Int8Engine(tiny, context_length=CONTEXT, threads=1, instructions="sse9")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "gemma3"}, "gemma3, and only qwen2, qwen3, llama, mistral are supported"),
        ({"model_type": "llama", "attention_bias": True}, "biases"),
        ({"model_type": "llama", "mlp_bias": True}, "biases"),
        ({"model_type": "mistral", "sliding_window": 4096}, "sliding window"),
        ({"use_sliding_window": True}, "sliding window"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"rope_scaling": {"type": "yarn"}}, "yarn"),
    ],
)
def test_an_unsupported_model_is_refused_with_a_reason(change: dict[str, Any], reason: str) -> None:
    """The refusal comes before any conversion."""
    config = {"model_type": "qwen2", "num_attention_heads": 2, **change}
    with pytest.raises(UnsupportedArchitecture, match=reason):
        int8_layout.Shape.of(config)


def with_header(header: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    return len(text).to_bytes(8, "little") + text + body


def open_crafted(
    tiny: Path, into: Path, change: Callable[[dict[str, Any]], object], **config: object
) -> Int8Engine:
    """Open an engine for a copy of the model with other headers and another config."""
    shutil.copytree(tiny, into)
    data = (into / int8_layout.FILE).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    (into / int8_layout.FILE).write_bytes(with_header(header, data[8 + length :]))
    settings = json.loads((into / "config.json").read_text())
    (into / "config.json").write_text(json.dumps(settings | config))
    return Int8Engine(into, context_length=CONTEXT, threads=1)


def test_a_file_with_an_equivalent_header_is_read(tiny: Path, tmp_path: Path) -> None:
    """The crafted headers below are built the same way."""
    open_crafted(tiny, tmp_path / "model", lambda header: header).shut_down()


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("layers.0.qkv.panels", {"data_offsets": [1 << 40, (1 << 40) + 24576]}, "but its header says"),
        ("norm", {"data_offsets": [-(1 << 40), 512 - (1 << 40)]}, "not a safetensors file"),
        ("norm", {"data_offsets": [512, 0]}, "has -512 bytes of norm"),
        ("norm", {"data_offsets": [0, 1e300]}, "not a safetensors file"),
        ("norm", {"data_offsets": [True, False]}, "not a safetensors file"),
        ("norm", {"data_offsets": [0]}, "not a safetensors file"),
        ("layers.0.mlp_norm", {"data_offsets": [1, 513]}, "has layers.0.mlp_norm at the unaligned offset"),
        ("norm", {"shape": [1 << 62, 4]}, "512 bytes of norm, but its type and shape need"),
        ("norm", {"shape": "wide"}, "not a safetensors file"),
        ("norm", {"dtype": "I32"}, r"norm as I32 \[128\], but by the model's config it is F32 \[128\]"),
        ("norm", {"dtype": "X1"}, "norm as X1"),
        (
            "embedding.panels",
            {"shape": [1, 1, 64, 4], "data_offsets": [0, 256]},
            r"U8 \[1, 1, 64, 4\], but by the model's config it is U8 \[16, 32, 64, 4\]",
        ),
    ],
)
def test_a_crafted_header_is_an_error(
    tiny: Path, tmp_path: Path, name: str, entry: dict[str, object], message: str
) -> None:
    """Native code would follow its offsets anywhere."""
    with pytest.raises(ModelDamaged, match=message):
        open_crafted(tiny, tmp_path / "model", lambda header: header[name].update(entry))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header: header.update({"layers.1.norm": header.pop("norm")}), "lacks norm"),
        (lambda header: header.update(__metadata__={"format": "pt"}), "has the format pt"),
        (lambda header: header.update(__metadata__="what"), "has the format None"),
        (lambda header: header.update(more=7), "not a safetensors file"),
    ],
)
def test_a_header_of_another_file_is_an_error(
    tiny: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(ModelDamaged, match=message):
        open_crafted(tiny, tmp_path / "model", change)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:5],
        lambda data: b"",
        lambda data: (1 << 60).to_bytes(8, "little") + data[8:],
        lambda data: b"\0" * len(data),
        lambda data: data + b"more",
        lambda data: with_header({}, data),
        lambda data: (40_008).to_bytes(8, "little") + b"[" * 40_008,
    ],
)
def test_an_incomplete_file_is_an_error_that_names_the_directory(
    tiny: Path, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    into = tmp_path / "model"
    shutil.copytree(tiny, into)
    (into / int8_layout.FILE).write_bytes(change((into / int8_layout.FILE).read_bytes()))
    with pytest.raises(ModelDamaged, match=f"{into} is damaged: .*, and it will be prepared again"):
        Int8Engine(into, context_length=CONTEXT, threads=1)


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": 3},
        {"hidden_size": 96 * 64},
        {"intermediate_size": 1 << 20},
        {"vocab_size": 100_003},
        {"tie_word_embeddings": False},
        {"num_attention_heads": 12, "num_key_value_heads": 12},
    ],
)
def test_a_config_larger_than_the_file_is_an_error(
    tiny: Path, tmp_path: Path, config: dict[str, object]
) -> None:
    with pytest.raises(ModelDamaged, match=r"lacks|but by the model's config it is"):
        open_crafted(tiny, tmp_path / "model", lambda header: header, **config)


@pytest.mark.parametrize(
    "config",
    [
        {"num_attention_heads": 0},
        {"num_attention_heads": -6},
        {"num_key_value_heads": 4},
        {"num_key_value_heads": 0},
        {"hidden_size": "many"},
        {"hidden_size": 96.5},
        {"hidden_size": True},
        {"vocab_size": 1 << 40},
        {"head_dim": 15},
        {"max_position_embeddings": -1},
        {"rms_norm_eps": "small"},
        {"rope_parameters": {"rope_theta": 0}},
        {"rope_parameters": 7},
        {"num_hidden_layers": None},
    ],
)
def test_an_impossible_config_is_an_error(tiny: Path, tmp_path: Path, config: dict[str, object]) -> None:
    with pytest.raises(UnsupportedArchitecture, match=r"its config\.json"):
        open_crafted(tiny, tmp_path / "model", lambda header: header, **config)


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, "\xff"])
def test_an_unreadable_config_is_an_error(tiny: Path, tmp_path: Path, text: str) -> None:
    shutil.copytree(tiny, tmp_path / "model")
    (tmp_path / "model/config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelDamaged, match=r"config\.json can't be read"):
        Int8Engine(tmp_path / "model", context_length=CONTEXT, threads=1)
