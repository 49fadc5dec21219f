"""Text to tokens and back, with a client's text kept from ever becoming a control token."""

from __future__ import annotations

import json
from string import ascii_uppercase
from typing import TYPE_CHECKING

from tokenizers import Tokenizer as Encoder
from tokenizers.decoders import DecodeStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mcq_service.prompts import Prompt, Span


def _byte_level() -> dict[str, int]:
    """The bytes that a byte-level vocabulary's characters stand for: printable Latin-1 for itself, others after it."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


_BYTES = _byte_level()


class Pieces:
    """Text from tokens, one at a time: a character that several tokens spell comes with the last of them."""

    def __init__(self, encoder: Encoder) -> None:
        """Start at the beginning of a text."""
        self._encoder = encoder
        self._stream = DecodeStream(skip_special_tokens=True)

    def of(self, token: int) -> str:
        """The text that this token completes, which may be empty."""
        return self._stream.step(self._encoder, token) or ""


class Tokenizer:
    """The tokenizer of a prepared model, twice: for our text, and for a client's."""

    def __init__(self, path: Path) -> None:
        """Read tokenizer.json and generation_config.json from a directory.

        Raises ValueError where a letter after a space is not one token, on which the scoring of letters rests.
        """
        file = str(path / "tokenizer.json")
        self._ours, self._clients = Encoder.from_file(file), Encoder.from_file(file)
        # Not all control tokens are declared special: `<|fim_middle|>` and `<tool_call>` are not.
        self._clients.add_special_tokens(
            [token.content for token in self._clients.get_added_tokens_decoder().values()]
        )
        self._clients.encode_special_tokens = True
        self.stop_ids = _stop_ids(path)
        self.vocabulary: int = self._ours.get_vocab_size(with_added_tokens=True)
        self._control = frozenset(self._clients.get_added_tokens_decoder())
        self.letters = {letter: self._letter(letter) for letter in ascii_uppercase}

    def ours(self, text: str) -> list[int]:
        """Tokens of our own text, in which `<|im_end|>` ends a turn."""
        return _encode(self._ours, text)

    def clients(self, text: str) -> list[int]:
        """Tokens of a client's text, in which `<|im_end|>` is but characters."""
        return _encode(self._clients, text)

    def prompt(self, prompt: Prompt) -> list[int]:
        """Tokens of a whole prompt; the stem ends a line, so that what follows it can't change its tokens."""
        return [*self.stem(prompt), *self.rest(prompt)]

    def stem(self, prompt: Prompt) -> list[int]:
        """Tokens of what a prompt shares with those of the same question and other choices."""
        return [*self.ours(prompt.prefix), *self.clients(prompt.stem)]

    def rest(self, prompt: Prompt) -> list[int]:
        """Tokens of what follows the stem."""
        return [*self.clients(prompt.choices), *self.ours(prompt.suffix)]

    def spans(self, spans: Iterable[Span]) -> list[int]:
        """Tokens of a text in parts."""
        return [id_ for span in spans for id_ in (self.ours if span.ours else self.clients)(span.text)]

    def pieces(self) -> Pieces:
        """A new stream of text from tokens."""
        return Pieces(self._ours)

    def text(self, tokens: Sequence[int]) -> str:
        """The text of tokens, control tokens among them."""
        text: str = self._ours.decode(list(tokens), skip_special_tokens=False)
        return text

    def spelling(self, token: int) -> bytes:
        """What one token writes, which may be part of a character only; a control token writes its name."""
        name = self._ours.id_to_token(token) or ""
        if token not in self._control and _BYTES.keys() >= set(name):
            return bytes(_BYTES[character] for character in name)
        return name.encode()

    def is_control(self, token: int) -> bool:
        """Whether the token is one of those that structure a text, and not part of what is read."""
        return token in self._control

    def _letter(self, letter: str) -> int:
        """The token of a letter after `answer:`, where YAML has a space."""
        ids = self.ours(f" {letter}")
        if len(ids) != 1:
            raise ValueError(f"The tokenizer has no single token for the letter {letter} after a space.")  # noqa: EM102
        return ids[0]


def _encode(encoder: Encoder, text: str) -> list[int]:
    # As a batch of one: `encode` holds the interpreter's lock in any thread, 0.3 s for the longest prompt.
    [encoding] = encoder.encode_batch_fast([text], add_special_tokens=False)
    ids: list[int] = encoding.ids
    return ids


def _stop_ids(path: Path) -> frozenset[int]:
    """The tokens that end a turn."""
    stop = json.loads((path / "generation_config.json").read_bytes()).get("eos_token_id")
    return frozenset(stop if isinstance(stop, list) else [] if stop is None else [stop])
