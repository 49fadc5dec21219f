"""The engine on transformers gives the results of a full forward pass."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from mcq_service.engine import BatchItem, Logits
from mcq_service.engine.transformers_engine import TransformersEngine, TransformersSequence
from mcq_service.model_store import PreparedModel

CONTEXT = 256
PREFIX = [7, 8, 9, 10, 11]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, prepared_model: PreparedModel) -> Path:
    """Return two random layers of the default model's architecture."""
    path = tmp_path_factory.mktemp("tiny-qwen2")
    vocabulary = json.loads((prepared_model.path / "config.json").read_text())["vocab_size"]
    torch.manual_seed(7)
    config = Qwen2Config(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=CONTEXT, initializer_range=0.3, tie_word_embeddings=True,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(path)
    return path


@pytest.fixture
def engine(tiny_model: Path) -> TransformersEngine:
    return TransformersEngine(tiny_model, context_length=4096, threads=1)


@pytest.fixture(scope="session")
def plain(tiny_model: Path) -> Any:
    """Return the same weights in transformers alone."""
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)


@torch.inference_mode()
def expected(plain: Any, tokens: list[int]) -> torch.Tensor:
    """Return the logits after each token, from one full forward pass without a cache."""
    logits: torch.Tensor = plain(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]
    return logits


@torch.inference_mode()
def continuation(plain: Any, tokens: list[int], count: int) -> list[int]:
    """Return the tokens of transformers' own greedy search."""
    ids = torch.tensor([tokens])
    generated: list[int] = plain.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=count, eos_token_id=None
    )[0, len(tokens) :].tolist()
    return generated


def scores(engine: TransformersEngine, tokens: list[int], ids: list[int]) -> list[float]:
    sequence = engine.open(tokens, room=0)
    [output] = engine.step([BatchItem(sequence, tokens[sequence.length :], score=ids)])
    return list(output.scores)


def tokens_of(number: int, count: int = 20) -> list[int]:
    return [(number * 31 + 17 * place) % 1000 for place in range(count)]


@pytest.mark.parametrize("number", range(3))
def test_scores_are_the_logits_of_a_full_forward(engine: TransformersEngine, plain: Any, number: int) -> None:
    """They are equal with the cached prefix and without it."""
    tokens, ids = [*PREFIX, *tokens_of(number)], [5, 50, 500]
    reference = expected(plain, tokens)[-1, ids].tolist()
    assert scores(engine, tokens, ids) == pytest.approx(reference, abs=1e-4)
    engine.cache_prefix(PREFIX)
    assert engine.open(tokens, room=0).length == len(PREFIX)
    assert scores(engine, tokens, ids) == pytest.approx(reference, abs=1e-4)
    assert max(reference) - min(reference) > 1e-2, "the check would pass for any model"


def test_the_longest_shared_prefix_is_used_and_never_the_whole_text(engine: TransformersEngine) -> None:
    """A text must have at least one token left to read."""
    engine.cache_prefix(PREFIX[:2])
    engine.cache_prefix(PREFIX)
    lengths = [engine.open(tokens, room=0).length for tokens in ([*PREFIX, 1], PREFIX, [7, 9], PREFIX[:2])]
    assert lengths == [5, 2, 0, 0]


def test_reading_in_parts_equals_reading_at_once(engine: TransformersEngine) -> None:
    """Splitting a prompt changes nothing."""
    tokens, ids = tokens_of(1), [3, 4, 5]
    sequence = engine.open(tokens, room=0)
    for start, end in ((0, 7), (7, 8), (8, 20)):
        [output] = engine.step([BatchItem(sequence, tokens[start:end], score=ids)])
    assert list(output.scores) == pytest.approx(scores(engine, tokens, ids), abs=1e-4)
    assert sequence.length == 20


def test_greedy_writing_equals_transformers_greedy_search(engine: TransformersEngine, plain: Any) -> None:
    """Two texts in the same steps do not mix."""
    prompts = [tokens_of(number) for number in (1, 2)]
    sequences = [engine.open(tokens, room=10) for tokens in prompts]
    pending, written = [list(tokens) for tokens in prompts], [[], []]  # type: ignore[var-annotated]
    for _ in range(10):
        items = [BatchItem(s, tokens, greedy=1) for s, tokens in zip(sequences, pending, strict=True)]
        for index, output in enumerate(engine.step(items)):
            written[index] += output.greedy
            pending[index] = list(output.greedy)
    assert written == [continuation(plain, tokens, 10) for tokens in prompts]
    assert written[0] != written[1], "the check would pass for a mixed cache"


def test_the_tokens_after_a_draft_are_those_of_greedy_search(engine: TransformersEngine, plain: Any) -> None:
    """After forgetting a wrong token, writing goes on as if it had not been read."""
    prompt = tokens_of(1)
    right = continuation(plain, prompt, 5)
    sequence = engine.open(prompt, room=10)
    [output] = engine.step([BatchItem(sequence, [*prompt, *right[:2], 999], greedy=4, logits=Logits.LAST)])
    assert output.greedy[:3] == right[:3] != [*right[:2], 999]
    assert output.logits is not None
    assert output.logits.shape == (1, expected(plain, prompt).shape[1])
    engine.forget(sequence, 1)
    [output] = engine.step([BatchItem(sequence, right[2:4], greedy=2)])
    assert output.greedy == right[3:5]


def test_logits_are_returned_for_the_last_or_for_every_token(engine: TransformersEngine, plain: Any) -> None:
    """They cover the whole vocabulary."""
    tokens = tokens_of(3)
    reference = expected(plain, tokens).numpy()
    for kind, rows in ((Logits.LAST, reference[-1:]), (Logits.EVERY, reference)):
        [output] = engine.step([BatchItem(engine.open(tokens, room=0), tokens, logits=kind)])
        assert output.logits is not None
        assert output.logits == pytest.approx(rows, abs=1e-4)
    [nothing] = engine.step([BatchItem(engine.open(tokens, room=0), tokens)])
    assert (list(nothing.scores), list(nothing.greedy), nothing.logits) == ([], [], None)


def test_forks_share_the_tokens_read_and_then_diverge(engine: TransformersEngine) -> None:
    """Each fork equals a text that was read alone."""
    stem, ends, ids = tokens_of(4), [[1, 2, 3], [4, 5]], [6, 7, 8]
    shared = engine.open(stem, room=0)
    engine.step([BatchItem(shared, stem)])
    forks = [engine.fork(shared, room=3) for _ in ends]
    outputs = engine.step([BatchItem(fork, end, score=ids) for fork, end in zip(forks, ends, strict=True)])
    for output, end in zip(outputs, ends, strict=True):
        assert list(output.scores) == pytest.approx(scores(engine, [*stem, *end], ids), abs=1e-4)


def test_closing_frees_the_cache(engine: TransformersEngine) -> None:
    """Closing twice does nothing."""
    sequence: TransformersSequence = engine.open([1], room=0)
    engine.close(sequence)
    engine.close(sequence)
    assert sequence.cache is None


def test_the_context_length_is_at_most_the_models(engine: TransformersEngine, tiny_model: Path) -> None:
    """The smaller of the two limits counts."""
    assert engine.context_length == CONTEXT
    assert TransformersEngine(tiny_model, context_length=64, threads=1).context_length == 64
    assert engine.name == "transformers (float32, cpu)"


@pytest.mark.parametrize("read", [0, 7])
def test_a_failed_step_has_read_nothing(engine: TransformersEngine, plain: Any, read: int) -> None:
    """This holds even if the step read some texts before the bad one, and some layers of the bad one."""
    tokens = tokens_of(1)
    sequences = [engine.open(tokens, room=0) for _ in range(2)]
    if read:
        engine.step([BatchItem(each, tokens[:read]) for each in sequences])
    last = engine._model.model.layers[-1]
    taken = 0

    def break_in_the_second(*_: object) -> None:
        nonlocal taken
        taken += 1
        if taken == 2:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    hook = last.register_forward_pre_hook(break_in_the_second)
    items = [BatchItem(each, tokens[read:], logits=Logits.LAST) for each in sequences]
    with pytest.raises(MemoryError):
        engine.step(items)
    hook.remove()
    assert [each.length for each in sequences] == [read, read]
    for output in engine.step(items):
        assert output.logits is not None
        assert output.logits[0] == pytest.approx(expected(plain, tokens)[-1].numpy(), abs=1e-4)
