"""A small tokenizer, in the form of a model's directory."""

import json
from pathlib import Path
from string import ascii_uppercase

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>"]


def write_small_tokenizer(folder: Path) -> int:
    """Write one token for each byte, one for each letter after a space, and ChatML's control tokens; `!` is token 0.

    Return the number of tokens.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = [f"Ġ{letter}" for letter in ascii_uppercase]
    vocabulary = {token: number for number, token in enumerate([*alphabet, *letters])}
    encoder = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", letter) for letter in ascii_uppercase]))
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    encoder.add_special_tokens(CONTROL)
    encoder.save(str(folder / "tokenizer.json"))
    ends = [encoder.token_to_id("<|im_end|>"), encoder.token_to_id("<|endoftext|>")]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    size: int = encoder.get_vocab_size(with_added_tokens=True)
    return size
