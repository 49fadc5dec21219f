"""Tokens as a client reads them: their spelling, their place in the text, and where the text stops."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcq_service.engine import Tokenizer
    from mcq_service.scheduler import Scored


_ECHOED = 64  # tokens of a part


class Placed(NamedTuple):
    """A token, and how many characters of the text stand before it."""

    scored: Scored
    offset: int


class Part(NamedTuple):
    """The next characters of a text, and the tokens since the part before it.

    Text that may turn out to be the beginning of a stop is kept back, its tokens are not.
    """

    text: str
    tokens: Sequence[Placed]


def echo(tokens: Sequence[Scored], tokenizer: Tokenizer) -> Iterator[Part]:
    """A prompt as the beginning of its text, control tokens among it; in parts, so that no part is much work."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    offset = 0
    for first in range(0, len(tokens), _ECHOED):
        text, placed = "", []
        for each in tokens[first : first + _ECHOED]:
            placed.append(Placed(each, offset + len(text)))
            text += decoder.decode(tokenizer.spelling(each.token))
        if first + _ECHOED >= len(tokens):
            text += decoder.decode(b"", final=True)
        offset += len(text)
        yield Part(text, placed)


class Writer:
    """Collects what a model writes, up to the first of the stops; `offset` characters stand before it."""

    def __init__(self, tokenizer: Tokenizer, *, stops: Sequence[str], offset: int) -> None:
        """The tokenizer is the model's."""
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = stops
        self._offset = offset
        self._kept = ""
        self.stopped = False

    def take(self, token: Scored) -> Part:
        """The part that this token completes."""
        placed = Placed(token, self._offset + len(self._kept))
        control = self._tokenizer.is_control(token.token)
        self._kept += self._decoder.decode(b"" if control else self._tokenizer.spelling(token.token))
        found = [place for stop in self._stops if (place := self._kept.find(stop)) >= 0]
        if found:
            self.stopped = True
            return Part(self._release(min(found)), [placed])
        return Part(self._release(len(self._kept) - self._maybe_stop()), [placed])

    def end(self) -> Part:
        """What was kept back, once nothing more is written; nothing, where a stop was found."""
        if self.stopped:
            return Part("", [])
        self._kept += self._decoder.decode(b"", final=True)
        return Part(self._release(len(self._kept)), [])

    def _release(self, count: int) -> str:
        text, self._kept = self._kept[:count], self._kept[count:]
        self._offset += count
        return text

    def _maybe_stop(self) -> int:
        """How many of the last characters may be the beginning of a stop."""
        return max(
            (
                length
                for stop in self._stops
                for length in range(1, min(len(stop), len(self._kept) + 1))
                if self._kept.endswith(stop[:length])
            ),
            default=0,
        )
