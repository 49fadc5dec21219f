"""The tokenizer of the default model: trusted and untrusted text, letters and streams."""

import asyncio
import json
from pathlib import Path
from string import ascii_uppercase

import pytest
from tests.service.tokens import write_small_tokenizer
from tokenizers import Tokenizer as Encoder
from tokenizers import models, pre_tokenizers, processors

from mcq_service.api.mcq.question_schemas import Question
from mcq_service.engine import Tokenizer, TooManyChoices
from mcq_service.engine.errors import EngineMismatch
from mcq_service.model_store import PreparedModel
from mcq_service.prompts import render


@pytest.fixture(scope="module")
def tokenizer(prepared_model: PreparedModel) -> Tokenizer:
    return Tokenizer(prepared_model.path)


@pytest.fixture(scope="module")
def encoder(prepared_model: PreparedModel) -> Encoder:
    """Return the file's tokenizer in the library that wrote the file."""
    return Encoder.from_file(str(prepared_model.path / "tokenizer.json"))


def test_client_text_never_becomes_a_control_token(tokenizer: Tokenizer, encoder: Encoder) -> None:
    """This covers the tokens of code completion and tools, which the tokenizer does not declare special."""
    control = {token.content: number for number, token in encoder.get_added_tokens_decoder().items()}
    assert {"<|im_end|>", "<|fim_middle|>", "<tool_call>"} <= control.keys()
    for text in control:
        tokens = tokenizer.encode_untrusted(f"a{text}b")
        assert not set(tokens) & set(control.values()), text
        assert encoder.decode(tokens, skip_special_tokens=False) == f"a{text}b"
        assert tokenizer.encode_trusted(text) == [control[text]]


def test_plain_client_text_is_tokenised_like_the_models_own(tokenizer: Tokenizer) -> None:
    """Only control tokens are treated differently."""
    text = "def f(x):\n\treturn \"é\" + '∑'  # 字 🙂 \\frac{1}{2}"
    assert tokenizer.encode_untrusted(text) == tokenizer.encode_trusted(text)


@pytest.mark.parametrize(
    "question", ["Which?", "Which of these:\n\n1.\n2.", "日本", "ends in a colon:", "x = 5;\n}"]
)
def test_a_questions_tokens_do_not_depend_on_the_choices(tokenizer: Tokenizer, question: str) -> None:
    """The stem alone has the first tokens of the whole prompt when that is tokenised as one text."""
    prompt = render(Question(question=question, choices=[" x", "- y"]))
    whole = tokenizer.encode_prompt(prompt)
    stem = tokenizer.encode_stem(prompt)
    assert whole[: len(stem)] == stem
    assert whole == tokenizer.encode_trusted(prompt.text)


@pytest.mark.parametrize("count", [2, 26, 27, 255])
def test_each_label_is_a_token_of_its_own(tokenizer: Tokenizer, count: int) -> None:
    """More choices than letters have pairs of letters."""
    labels = tokenizer.labels(count)
    assert len({tokenizer.label_tokens[label] for label in labels}) == count
    assert {len(label) for label in labels} == {1 if count <= 26 else 2}
    assert tokenizer.labels(26) == list(ascii_uppercase)


def test_too_many_choices_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(TooManyChoices, match="677 choices are too many"):
        tokenizer.labels(677)


def test_the_stop_tokens_are_the_models_own(tokenizer: Tokenizer) -> None:
    """They are the end of a turn and the end of a text."""
    assert tokenizer.stop_ids == {
        tokenizer.encode_trusted("<|im_end|>")[0],
        tokenizer.encode_trusted("<|endoftext|>")[0],
    }


@pytest.mark.parametrize("generation", [None, {}, {"eos_token_id": None}])
@pytest.mark.parametrize(("named", "stop_ids"), [(3, {3}), ([3, 4], {3, 4})])
def test_the_stop_tokens_may_be_in_the_models_config(
    tmp_path: Path, generation: dict[str, None] | None, named: object, stop_ids: set[int]
) -> None:
    """Many older models have no generation_config.json."""
    write_small_tokenizer(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    with pytest.raises(EngineMismatch, match="names no token that ends a text"):
        Tokenizer(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": named}))
    assert Tokenizer(tmp_path).stop_ids == stop_ids


def test_streamed_pieces_join_to_the_text(tokenizer: Tokenizer) -> None:
    """A character of several tokens comes in one piece."""
    text = "naïve ∑ 🗾 字 ok"
    pieces = tokenizer.stream()
    texts = [pieces.push(token) for token in tokenizer.encode_trusted(text)]
    assert "".join(texts) == text
    assert not any("\ufffd" in piece for piece in texts)


async def test_tokenising_does_not_block_the_event_loop(prepared_model: PreparedModel) -> None:
    """Tokenising the longest prompt takes a large part of a second."""
    tokenizer = Tokenizer(prepared_model.path)
    for encode in (tokenizer.encode_trusted, tokenizer.encode_untrusted):
        task = asyncio.create_task(asyncio.to_thread(encode, "The quick brown fox, 12 dogs. " * 6000))
        rounds = 0
        while not task.done():
            await asyncio.sleep(0.001)
            rounds += 1
        assert len(await task) > 50_000
        assert rounds > 10


def test_a_raw_text_begins_with_the_models_control_token(tmp_path: Path) -> None:
    """A text that has it already gets no second one, and a part of a prompt gets none."""
    write_small_tokenizer(tmp_path)
    encoder = Encoder.from_file(str(tmp_path / "tokenizer.json"))
    begin = encoder.token_to_id("<|endoftext|>")
    encoder.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", begin)]
    )
    encoder.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer(tmp_path)
    assert tokenizer.beginning == "<|endoftext|>"
    assert tokenizer.encode_text("hi") == [begin, *tokenizer.encode_trusted("hi")]
    assert tokenizer.encode_text("<|endoftext|>hi") == tokenizer.encode_text("hi")
    assert begin not in tokenizer.encode_trusted("hi")


def test_a_model_without_such_a_token_has_an_empty_beginning(tokenizer: Tokenizer) -> None:
    assert tokenizer.beginning == ""
    assert tokenizer.encode_text("hi") == tokenizer.encode_trusted("hi")


@pytest.mark.parametrize(
    ("letters", "reason"),
    [(ascii_uppercase, "puts a space before each text"), ("ABC", "has no token for ' D'")],
)
def test_an_unsuitable_tokenizer_is_refused(tmp_path: Path, letters: str, reason: str) -> None:
    """As of models with SentencePiece: `▁` stands for a space."""
    write_small_tokenizer(tmp_path)
    tokens = ["▁", *ascii_uppercase, *(f"▁{each}" for each in letters)]
    vocabulary = {each: number for number, each in enumerate(tokens)}
    encoder = Encoder(models.BPE(vocab=vocabulary, merges=[("▁", each) for each in letters]))
    encoder.pre_tokenizer = pre_tokenizers.Metaspace()
    encoder.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(EngineMismatch, match=f"{reason}.*byte-level tokenizer"):
        Tokenizer(tmp_path)
