import json
import shutil
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, GenerationConfig, Qwen2Config, Qwen2ForCausalLM

from mcq_service.engines import PromptTooLong
from mcq_service.engines.transformers_engine import TransformersEngine
from mcq_service.models import PreparedModel
from mcq_service.prompts import render
from mcq_service.prompts.chatml import PREFIX
from mcq_service.protocol import Question

CONTEXT = 512
LABELS = ["A", "B", "C", "D"]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, prepared_model: PreparedModel) -> Path:
    """Two random layers of the default model's architecture, with the default model's tokenizer."""
    path = tmp_path_factory.mktemp("tiny-qwen2")
    vocabulary = json.loads((prepared_model.path / "config.json").read_text())["vocab_size"]
    torch.manual_seed(7)
    config = Qwen2Config(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=CONTEXT, initializer_range=0.3, tie_word_embeddings=True,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=[151645, 151643], pad_token_id=151643)
    model.save_pretrained(path)
    shutil.copy(prepared_model.path / "tokenizer.json", path)
    return path


@pytest.fixture(scope="session")
def engine(tiny_model: Path) -> TransformersEngine:
    return TransformersEngine(tiny_model, name="tiny", prefix=PREFIX, context_length=CONTEXT, threads=1)


@pytest.fixture(scope="session")
def plain(tiny_model: Path) -> Any:
    """The same weights in transformers alone."""
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).to(
        "cuda" if torch.cuda.is_available() else "cpu"
    )


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tiny_model / "tokenizer.json"))


def prompt(number: int = 0) -> tuple[str, str, str]:
    choices = [f"{number} apples", f"{number + 2} pears, naïve", "∑ x²", "\\frac{1}{2}"]
    return render(Question(question=f"What is {number} + 2?", choices=choices))


def ids_of(tokenizer: Tokenizer, *texts: str) -> list[int]:
    return [each for text in texts for each in tokenizer.encode(text, add_special_tokens=False).ids]


@torch.inference_mode()
def expected_probabilities(plain: Any, tokenizer: Tokenizer, tokens: list[int]) -> list[float]:
    """Softmax over the letters after one full forward, without a cache."""
    logits = plain(input_ids=torch.tensor([tokens], device=plain.device), use_cache=False).logits[0, -1]
    letters = [ids_of(tokenizer, f" {label}")[0] for label in LABELS]
    chances: list[float] = logits[letters].softmax(0).tolist()
    return chances


@torch.inference_mode()
def expected_tokens(plain: Any, tokens: list[int], count: int) -> list[int]:
    ids = torch.tensor([tokens], device=plain.device)
    found: list[int] = plain.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=count
    )[0, len(tokens) :].tolist()
    return found


def decoded(engine: TransformersEngine, sequence: Any, count: int) -> tuple[list[int], str]:
    """The tokens and the text of `count` steps, or up to the end of the turn."""
    tokens, pieces = [], []
    for _ in range(count):
        piece = engine.decode(sequence)
        if piece is None:
            break
        tokens.append(sequence.pending[-1])
        pieces.append(piece)
    return tokens, "".join(pieces)


@pytest.mark.parametrize("number", range(3))
def test_probabilities_are_those_of_a_full_forward(
    engine: TransformersEngine, plain: Any, tokenizer: Tokenizer, number: int
) -> None:
    """Reading the shared prefix once changes nothing."""
    sequence = engine.start(*prompt(number), room=16)
    found = engine.probabilities(sequence, LABELS)
    tokens = ids_of(tokenizer, *prompt(number))
    assert found == pytest.approx(expected_probabilities(plain, tokenizer, tokens), abs=1e-4)
    assert sum(found) == pytest.approx(1)
    assert max(found) - min(found) > 1e-3, "the check would pass for any model"
    assert (sequence.prompt_tokens, sequence.cached_tokens) == (len(tokens), len(ids_of(tokenizer, PREFIX)))


def test_another_prefix_is_computed_anew(
    engine: TransformersEngine, plain: Any, tokenizer: Tokenizer
) -> None:
    """The cache is used only for the prefix it was made for."""
    _, user, suffix = prompt()
    sequence = engine.start("Other.\n", user, suffix, room=16)
    tokens = ids_of(tokenizer, "Other.\n", user, suffix)
    expected = expected_probabilities(plain, tokenizer, tokens)
    assert engine.probabilities(sequence, LABELS) == pytest.approx(expected, abs=1e-4)
    assert sequence.cached_tokens == 0


def test_decoding_is_greedy_generation(engine: TransformersEngine, plain: Any, tokenizer: Tokenizer) -> None:
    """After forced text, each token is the one that transformers' own greedy search takes."""
    sequence = engine.start(*prompt(), room=64)
    engine.probabilities(sequence, LABELS)
    forced = ' B\nreasoning: "'
    engine.force(sequence, forced)
    tokens, text = decoded(engine, sequence, 24)
    expected = expected_tokens(plain, [*ids_of(tokenizer, *prompt()), *ids_of(tokenizer, forced)], 24)
    assert tokens == expected
    assert sequence.completion_tokens == 24
    whole = tokenizer.decode(expected, skip_special_tokens=True)
    assert whole.startswith(text)
    assert set(whole[len(text) :]) <= {"\ufffd"}, "only half a character may be missing"


def test_the_end_of_the_turn_ends_decoding(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop token is no text, and is counted."""
    sequence = engine.start(*prompt(), room=8)
    chosen = int(engine._advance(sequence).argmax())
    monkeypatch.setattr(engine, "_stop_ids", frozenset({chosen}))
    assert engine.decode(sequence) is None
    assert sequence.completion_tokens == 1


def test_the_stop_tokens_are_the_models_own(engine: TransformersEngine, tokenizer: Tokenizer) -> None:
    """The end of a turn and the end of a text."""
    assert engine._stop_ids == {tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")}


def test_sequences_that_take_turns_do_not_mix(
    engine: TransformersEngine, plain: Any, tokenizer: Tokenizer
) -> None:
    """Each sequence has its own cache, though both began with the same prefix."""
    sequences = [engine.start(*prompt(number), room=32) for number in (1, 2)]
    found: list[list[int]] = [[], []]
    for _ in range(10):
        for sequence, tokens in zip(sequences, found, strict=True):
            tokens += decoded(engine, sequence, 1)[0]
    expected = [expected_tokens(plain, ids_of(tokenizer, *prompt(number)), 10) for number in (1, 2)]
    assert found == expected
    assert found[0] != found[1], "the check would pass for a mixed cache"


def test_a_prompt_without_room_for_its_answer_is_refused(
    engine: TransformersEngine, tokenizer: Tokenizer
) -> None:
    """The context holds the prompt and the answer exactly, or not at all; the message has both numbers."""
    length = len(ids_of(tokenizer, *prompt()))
    engine.start(*prompt(), room=CONTEXT - length)
    with pytest.raises(PromptTooLong, match=f"{length} tokens.*{CONTEXT - length + 1}.*{CONTEXT}"):
        engine.start(*prompt(), room=CONTEXT - length + 1)


def test_nothing_a_client_writes_becomes_a_control_token(
    engine: TransformersEngine, tokenizer: Tokenizer
) -> None:
    """Also not the tokens of code completion and tools, which the tokenizer does not declare special."""
    control = {token.content: number for number, token in tokenizer.get_added_tokens_decoder().items()}
    assert {"<|im_end|>", "<|fim_middle|>", "<tool_call>"} <= control.keys()
    for text in control:
        found = engine._untrusted.encode(f"a{text}b", add_special_tokens=False).ids
        assert not set(found) & set(control.values()), text
        assert tokenizer.decode(found, skip_special_tokens=False) == f"a{text}b"
        assert engine.start("", text, "", room=1).prompt_tokens > 1


def test_plain_text_of_a_client_is_tokenised_as_the_models_own(
    engine: TransformersEngine, tokenizer: Tokenizer
) -> None:
    """Only control tokens differ."""
    text = "def f(x):\n\treturn \"é\" + '∑'  # 字 🙂 \\frac{1}{2}"
    assert engine._untrusted.encode(text, add_special_tokens=False).ids == ids_of(tokenizer, text)


def test_each_letter_is_a_token_of_its_own(engine: TransformersEngine) -> None:
    """26 choices have 26 different tokens."""
    assert len({engine._letter_id(letter) for letter in ascii_uppercase}) == 26
