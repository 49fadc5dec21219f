"""Convert text to tokens and back. A client's text never becomes a control token."""

from __future__ import annotations

import json
from functools import cached_property
from itertools import product
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from tokenizers import Tokenizer as Encoder
from tokenizers.decoders import DecodeStream

from mcq_service.engine.errors import EngineMismatch, TooManyChoices

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcq_service.prompts import Opening, Prompt, TextSpan


def _byte_level() -> dict[str, int]:
    """Map a byte-level vocabulary's characters to bytes: printable Latin-1 to itself, U+0100 and up to the rest."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


_BYTES = _byte_level()
_SUITABLE = "Use a model with a byte-level tokenizer, such as those of Qwen, Llama 3 and Mistral NeMo."


class TokenStream:
    """Decodes tokens one at a time. The last token of a character returns the whole character."""

    def __init__(self, encoder: Encoder) -> None:
        """Start at the beginning of a text."""
        self._encoder = encoder
        self._stream = DecodeStream(skip_special_tokens=True)

    def push(self, token: int) -> str:
        """Return the text that this token completes; it may be empty."""
        return self._stream.step(self._encoder, token) or ""


class Tokenizer:
    """The tokenizer of a prepared model, in two forms: for our own (trusted) text and for a client's."""

    def __init__(self, path: Path) -> None:
        """Read tokenizer.json, and the tokens that end a text, from a directory.

        Raises EngineMismatch if a letter after a space is not a single token, which the scoring of letters needs, if
        a space is put before each text, because prompts are encoded in parts, or if no token ends a text.
        """
        file = str(path / "tokenizer.json")
        self._trusted, self._untrusted = Encoder.from_file(file), Encoder.from_file(file)
        # Some control tokens are not declared special: `<|fim_middle|>` and `<tool_call>`, for example.
        self._untrusted.add_special_tokens(
            [token.content for token in self._untrusted.get_added_tokens_decoder().values()]
        )
        self._untrusted.encode_special_tokens = True
        self.stop_ids = _stop_ids(path)
        self.vocabulary: int = self._trusted.get_vocab_size(with_added_tokens=True)
        self._control = frozenset(self._untrusted.get_added_tokens_decoder())
        self._openings: WeakKeyDictionary[Opening, list[int]] = WeakKeyDictionary()
        self.label_tokens = self._single_tokens(
            [*ascii_uppercase, *map("".join, product(ascii_uppercase, repeat=2))]
        )
        if missing := set(ascii_uppercase) - self.label_tokens.keys():
            raise EngineMismatch(f"The model's tokenizer has no token for ' {min(missing)}'. {_SUITABLE}")
        if self.encode_trusted("A") == [self.label_tokens["A"]]:
            raise EngineMismatch(f"The model's tokenizer puts a space before each text. {_SUITABLE}")

    @cached_property
    def beginning(self) -> str:
        """The control tokens that the model expects at the beginning of a text; empty for many models."""
        encoding = self._trusted.encode("A", add_special_tokens=True)
        before = encoding.ids[: encoding.special_tokens_mask.index(0)]
        return self.decode(before) if before else ""

    @property
    def definition(self) -> str:
        """The tokenizer as JSON, as in tokenizer.json."""
        text: str = self._trusted.to_str()
        return text

    def labels(self, count: int) -> list[str]:
        """Return labels for so many choices: letters, or the pairs of letters that are single tokens.

        Raises TooManyChoices.
        """
        if count <= len(ascii_uppercase):
            return list(ascii_uppercase[:count])
        pairs = [label for label in self.label_tokens if len(label) == 2]
        if count > len(pairs):
            limit = max(len(pairs), len(ascii_uppercase))
            raise TooManyChoices(
                f"{count} choices are too many for this model's tokenizer: the limit is {limit}."
            )
        return pairs[:count]

    def encode_trusted(self, text: str) -> list[int]:
        """Encode our own text: `<|im_end|>` ends a turn."""
        return _encode(self._trusted, text)

    def encode_text(self, text: str) -> list[int]:
        """Encode a whole text, with the model's control tokens at its beginning unless it has them already."""
        beginning = "" if text.startswith(self.beginning) else self.beginning
        return self.encode_trusted(f"{beginning}{text}")

    def encode_untrusted(self, text: str) -> list[int]:
        """Encode a client's text: `<|im_end|>` is plain characters."""
        return _encode(self._untrusted, text)

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """Encode a whole prompt. Its stem ends a line, so the rest can't change the stem's tokens."""
        return [*self.encode_stem(prompt), *self.encode_rest(prompt)]

    def encode_stem(self, prompt: Prompt) -> list[int]:
        """Encode the part that prompts of one question share, whatever their choices."""
        return [*self.encode_opening(prompt), *self.encode_untrusted(prompt.stem)]

    def encode_opening(self, prompt: Prompt) -> list[int]:
        """Encode the prefix and the opening: the part that questions may share."""
        opening = self._encoded_opening(prompt.opening) if prompt.opening else []
        return [*self.encode_trusted(prompt.prefix), *opening]

    def _encoded_opening(self, opening: Opening) -> list[int]:
        """Encode an opening once for all its prompts."""
        if opening not in self._openings:
            self._openings[opening] = self.encode_spans(opening.spans)
        return self._openings[opening]

    def encode_rest(self, prompt: Prompt) -> list[int]:
        """Encode the part after the stem."""
        return [*self.encode_untrusted(prompt.choices), *self.encode_trusted(prompt.suffix)]

    def encode_spans(self, spans: Iterable[TextSpan]) -> list[int]:
        """Encode a text of trusted and untrusted spans."""
        return [
            id_
            for span in spans
            for id_ in (self.encode_trusted if span.trusted else self.encode_untrusted)(span.text)
        ]

    def stream(self) -> TokenStream:
        """Start a new stream of text from tokens."""
        return TokenStream(self._trusted)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, including control tokens."""
        text: str = self._trusted.decode(list(tokens), skip_special_tokens=False)
        return text

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of one token, perhaps a part of a character; for a control token, its name."""
        name = self._trusted.id_to_token(token) or ""
        if token not in self._control and _BYTES.keys() >= set(name):
            return bytes(_BYTES[character] for character in name)
        return name.encode()

    def control_tokens(self, names: Iterable[str]) -> frozenset[int]:
        """Return the control tokens among these names."""
        return self._control & {self._trusted.token_to_id(name) for name in names}

    def is_control(self, token: int) -> bool:
        """Return whether the token is a control token: it structures a text and is not part of it."""
        return token in self._control

    def _single_tokens(self, labels: Sequence[str]) -> dict[str, int]:
        """Return the tokens of labels that are one token after `answer:`, where YAML has a space."""
        encoded = self._trusted.encode_batch_fast([f" {label}" for label in labels], add_special_tokens=False)
        return {label: each.ids[0] for label, each in zip(labels, encoded, strict=True) if len(each.ids) == 1}


def _encode(encoder: Encoder, text: str) -> list[int]:
    # As a batch of one: `encode` holds the interpreter's lock in any thread, 0.3 s for the longest prompt.
    [encoding] = encoder.encode_batch_fast([text], add_special_tokens=False)
    ids: list[int] = encoding.ids
    return ids


def _stop_ids(path: Path) -> frozenset[int]:
    """Return the tokens that end a turn: those of the first file that names any. Raises EngineMismatch."""
    names = ("generation_config.json", "config.json")
    for file in filter(Path.exists, (path / name for name in names)):
        stop = json.loads(file.read_bytes()).get("eos_token_id")
        if stop is not None:
            return frozenset(stop if isinstance(stop, list) else [stop])
    raise EngineMismatch(
        f"The model names no token that ends a text: add `eos_token_id` to its {' or '.join(names)}."
    )
