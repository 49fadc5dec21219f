from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.service.tiny import CONTEXT, write_tiny_int8
from transformers import AutoModelForCausalLM

from mcq_service.engines import Feed, Logits, native
from mcq_service.engines.cpu_engine import CPUEngine, NativeEngineUnavailable
from mcq_service.models import packed
from mcq_service.models.errors import UnsupportedArchitecture

PREFIX = [7, 8, 9, 10, 11]
SETS = [each for each in ("avx512_vnni", "avx2") if native.instructions(each)]

pytestmark = pytest.mark.skipif(not SETS, reason="this CPU has no AVX2, or the native library was not built")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny-int8")
    write_tiny_int8(path)
    return path


@pytest.fixture(params=SETS)
def engine(tiny: Path, request: pytest.FixtureRequest) -> Iterator[CPUEngine]:
    made = CPUEngine(tiny, context_length=4096, threads=2, instructions=request.param)
    yield made
    made.shut()


@pytest.fixture(scope="module")
def plain(tiny: Path) -> Any:
    """transformers, in float32."""
    return AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)


@torch.inference_mode()
def expected(plain: Any, tokens: list[int]) -> np.ndarray[Any, Any]:
    logits: np.ndarray[Any, Any] = plain(input_ids=torch.tensor([tokens]), use_cache=False).logits[0].numpy()
    return logits


def tokens_of(number: int, count: int) -> list[int]:
    return [(number * 37 + 17 * place) % 1003 for place in range(count)]


def logits(engine: CPUEngine, tokens: list[int]) -> np.ndarray[Any, Any]:
    sequence = engine.open(tokens, room=0)
    [output] = engine.step([Feed(sequence, tokens[sequence.length :], logits=Logits.LAST)])
    engine.close(sequence)
    assert output.logits is not None
    row: np.ndarray[Any, Any] = output.logits[0]
    return row


@pytest.mark.parametrize("count", [1, 2, 5, 16, 17, 64, 257, 300])
def test_logits_are_near_those_of_the_float_model(engine: CPUEngine, plain: Any, count: int) -> None:
    """For every token of a text, shorter and longer than what goes through the layers together."""
    tokens = tokens_of(1, count)
    sequence = engine.open(tokens, room=0)
    [output] = engine.step([Feed(sequence, tokens, logits=Logits.EVERY)])
    assert output.logits is not None
    wanted = expected(plain, tokens)
    assert output.logits.shape == wanted.shape
    errors = np.abs(output.logits - wanted).mean(axis=1) / wanted.std(axis=1)
    assert errors.max() < 0.1
    for found, right in zip(output.logits, wanted, strict=True):
        assert np.corrcoef(found, right)[0, 1] > 0.99


def test_both_instruction_sets_compute_the_same(tiny: Path) -> None:
    """Up to the order of float sums."""
    if len(SETS) < 2:
        pytest.skip("this CPU has but one")
    found = []
    for each in SETS:
        engine = CPUEngine(tiny, context_length=CONTEXT, threads=1, instructions=each)
        found.append(logits(engine, tokens_of(2, 40)))
        engine.shut()
    assert found[0] == pytest.approx(found[1], abs=2e-2)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_company_changes_nothing(tiny: Path, threads: int) -> None:
    """A text's logits are the same to the bit, alone or in a batch, whole or in parts, however many threads."""
    alone = CPUEngine(tiny, context_length=CONTEXT, threads=1)
    texts = [tokens_of(number, count) for number, count in ((1, 3), (2, 40), (3, 17), (4, 260))]
    wanted = [logits(alone, tokens) for tokens in texts]
    engine = CPUEngine(tiny, context_length=CONTEXT, threads=threads)
    sequences = [engine.open(tokens, room=0) for tokens in texts]
    engine.step([Feed(s, tokens[:2]) for s, tokens in zip(sequences, texts, strict=True)])
    outputs = engine.step(
        [Feed(s, tokens[2:], logits=Logits.LAST) for s, tokens in zip(sequences, texts, strict=True)]
    )
    for output, right in zip(outputs, wanted, strict=True):
        assert output.logits is not None
        assert np.array_equal(output.logits[0], right)
    for each in (alone, engine):
        each.shut()


def test_what_is_shared_changes_nothing(engine: CPUEngine) -> None:
    """A prefix that was read once, and forks of what was read since."""
    texts = [[*PREFIX, *tokens_of(5, 30), *tokens_of(number, 4)] for number in (6, 7)]
    wanted = [logits(engine, tokens) for tokens in texts]
    engine.share(PREFIX)
    stem = engine.open(texts[0][:35], room=0)
    assert stem.length == len(PREFIX)
    engine.step([Feed(stem, texts[0][5:35])])
    forks = [engine.fork(stem, room=4) for _ in texts]
    outputs = engine.step(
        [Feed(fork, tokens[35:], logits=Logits.LAST) for fork, tokens in zip(forks, texts, strict=True)]
    )
    for output, right in zip(outputs, wanted, strict=True):
        assert output.logits is not None
        assert np.array_equal(output.logits[0], right)


def test_scores_and_the_greedy_token_are_those_of_the_logits(engine: CPUEngine) -> None:
    """Asked for together, of several texts in one step."""
    texts = [tokens_of(number, 9) for number in range(3)]
    wanted = [logits(engine, tokens) for tokens in texts]
    feeds = [Feed(engine.open(tokens, room=1), tokens, score=[4, 1002, 500], greedy=True) for tokens in texts]
    for output, right in zip(engine.step(feeds), wanted, strict=True):
        assert output.token == int(right.argmax())
        assert list(output.scores) == pytest.approx(right[[4, 1002, 500]], abs=2e-2)


def test_closing_gives_the_memory_back_once_forks_are_closed(engine: CPUEngine) -> None:
    """Twice does nothing; a fork keeps what it shares."""
    before = engine.cache_bytes
    stem = engine.open(PREFIX, room=3)
    engine.step([Feed(stem, PREFIX)])
    fork = engine.fork(stem, room=3)
    held = engine.cache_bytes
    engine.close(stem)
    engine.close(stem)
    assert held >= engine.cache_bytes > before
    [output] = engine.step([Feed(fork, [1, 2, 3], greedy=True)])
    assert output.token is not None
    engine.close(fork)
    assert engine.cache_bytes == before


def test_a_sequence_that_was_given_no_room_says_so(engine: CPUEngine) -> None:
    """And no memory is written that is not its own; nor is a token read that does not exist."""
    sequence = engine.open([1, 2], room=1)
    with pytest.raises(ValueError, match="more tokens than it has room for"):
        engine.step([Feed(sequence, [1] * 200)])
    with pytest.raises(ValueError, match="not one of the model's"):
        engine.step([Feed(sequence, [1003])])
    [output] = engine.step([Feed(sequence, [1, 2], greedy=True)])
    assert output.token is not None


def test_a_step_that_fails_has_read_nothing(engine: CPUEngine) -> None:
    """The feeds of a bad step can be read again, without the bad one, to the same bits."""
    texts = [tokens_of(number, 20) for number in range(3)]
    wanted = [logits(engine, tokens) for tokens in texts]
    sequences = [engine.open(tokens, room=0) for tokens in texts]
    feeds = [Feed(each, tokens, logits=Logits.LAST) for each, tokens in zip(sequences, texts, strict=True)]
    bad = engine.open([1], room=0)
    for error in ([Feed(bad, [1003])], [Feed(bad, [1] * 200)]):
        with pytest.raises(ValueError, match=r"not one of the model's|more tokens"):
            engine.step([feeds[0], *error, *feeds[1:]])
    assert [each.length for each in sequences] == [0, 0, 0]
    for output, right in zip(engine.step(feeds), wanted, strict=True):
        assert output.logits is not None
        assert np.array_equal(output.logits[0], right)


def test_no_memory_is_said_as_such(engine: CPUEngine) -> None:
    """And leaves the engine as it was."""
    wanted, before = logits(engine, PREFIX), engine.cache_bytes
    with pytest.raises(MemoryError, match="keys and values"):
        engine.open(PREFIX, room=2**31 - 100)
    assert engine.cache_bytes == before
    assert np.array_equal(logits(engine, PREFIX), wanted)


def test_an_instruction_set_the_cpu_lacks_is_refused(tiny: Path) -> None:
    """With what to do instead."""
    with pytest.raises(NativeEngineUnavailable, match="float32 or bfloat16"):
        CPUEngine(tiny, context_length=CONTEXT, threads=1, instructions="sse9")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "llama"}, "llama"),
        ({"use_sliding_window": True}, "sliding window"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"rope_scaling": {"type": "yarn"}}, "yarn"),
    ],
)
def test_a_model_it_can_not_run_is_refused_with_a_reason(change: dict[str, Any], reason: str) -> None:
    """Before anything is converted."""
    config = {"model_type": "qwen2", "num_attention_heads": 2, **change}
    with pytest.raises(UnsupportedArchitecture, match=reason):
        packed.Shape.of(config)
