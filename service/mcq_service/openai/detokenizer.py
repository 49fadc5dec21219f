"""Turn tokens into a client's text: their characters, their offsets, and the end at a stop sequence."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcq_service.engine import Tokenizer
    from mcq_service.scheduler import ScoredToken


_ECHOED = 64  # tokens in a piece


class PositionedToken(NamedTuple):
    """A token and the number of characters before it."""

    scored: ScoredToken
    offset: int


class TextPiece(NamedTuple):
    """The next characters of a text, and the tokens since the piece before it.

    Characters that may begin a stop sequence are held back; their tokens are not.
    """

    text: str
    tokens: Sequence[PositionedToken]


def echo_prompt(tokens: Sequence[ScoredToken], tokenizer: Tokenizer) -> Iterator[TextPiece]:
    """Yield a prompt as the beginning of its text, with its control tokens, in pieces that take little time each."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    offset = 0
    for first in range(0, len(tokens), _ECHOED):
        text, positioned = "", []
        for each in tokens[first : first + _ECHOED]:
            positioned.append(PositionedToken(each, offset + len(text)))
            text += decoder.decode(tokenizer.token_bytes(each.token))
        if first + _ECHOED >= len(tokens):
            text += decoder.decode(b"", final=True)
        offset += len(text)
        yield TextPiece(text, positioned)


class Detokenizer:
    """Collects the text that a model writes, up to the first stop sequence."""

    def __init__(self, tokenizer: Tokenizer, *, stops: Sequence[str], offset: int) -> None:
        """Start after `offset` characters; the tokenizer is the model's."""
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = stops
        self._offset = offset
        self._held = ""
        self.stopped = False

    def push(self, token: ScoredToken) -> TextPiece:
        """Take a token; return the piece that it completes."""
        positioned = PositionedToken(token, self._offset + len(self._held))
        control = self._tokenizer.is_control(token.token)
        self._held += self._decoder.decode(b"" if control else self._tokenizer.token_bytes(token.token))
        starts = [start for stop in self._stops if (start := self._held.find(stop)) >= 0]
        if starts:
            self.stopped = True
            return TextPiece(self._release(min(starts)), [positioned])
        return TextPiece(self._release(len(self._held) - self._possible_stop()), [positioned])

    def finish(self) -> TextPiece:
        """Return the characters held back; none after a stop sequence."""
        if self.stopped:
            return TextPiece("", [])
        self._held += self._decoder.decode(b"", final=True)
        return TextPiece(self._release(len(self._held)), [])

    def _release(self, count: int) -> str:
        text, self._held = self._held[:count], self._held[count:]
        self._offset += count
        return text

    def _possible_stop(self) -> int:
        """Return how many of the last characters may begin a stop sequence."""
        return max(
            (
                length
                for stop in self._stops
                for length in range(1, min(len(stop), len(self._held) + 1))
                if self._held.endswith(stop[:length])
            ),
            default=0,
        )
