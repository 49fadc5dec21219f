"""What a text can want of the engine: to be read and scored, or to be written on.

Jobs are made by the event loop's thread and run by the engine's; `future` is what both look at.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from mcq_service.engines import Feed, Logits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from opentelemetry.trace import SpanContext

    from mcq_service.engines import Engine, Output, Pieces, Share, Tokens
    from mcq_service.parsing import Line


class Readable(Protocol):
    """A text with tokens that wait to be read."""

    sequence: Any
    pending: list[int]
    tokens: Tokens
    share: Share
    turn: float
    """When it is to be read, on the batcher's clock; of equals the one with the smaller `arrival` first."""
    since_turn: int
    """Tokens that were read of it since its turn was set."""
    arrival: int
    begun: float | None

    def begin(self, engine: Engine[Any]) -> None:
        """Make the sequence, if there is none yet."""


class Job:
    """One text's turn with the engine, which takes as many steps as it needs."""

    def __init__(self, text: Readable, *, span: SpanContext | None = None) -> None:
        """`span` is the request's, for the steps that are made for it."""
        self.text = text
        self.span = span
        self.future: Future[Any] = Future()

    def feed(self, count: int) -> Feed[Any]:
        """The next `count` pending tokens; with the last of them, what is wanted."""
        if self.text.begun is None:
            self.text.begun = time.monotonic()
        tokens = self.text.pending[:count]
        if count < len(self.text.pending):
            return Feed(self.text.sequence, tokens)
        return self.last(tokens)

    def last(self, tokens: Sequence[int]) -> Feed[Any]:
        """The feed of the last pending tokens."""
        return Feed(self.text.sequence, tokens)

    def read(self, count: int, output: Output) -> None:
        """So many tokens were read; `output` belongs to the last of them."""
        del self.text.pending[:count]
        if not self.text.pending:
            self.take(output)

    def take(self, output: Output) -> None:
        """Everything pending was read: finish, or give the text more to read."""
        self.future.set_result(output)


class Score(Job):
    """Read what is pending; the result is an Output with the logits of these tokens, or of all."""

    def __init__(
        self, text: Readable, *, score: Sequence[int] = (), logits: Logits = Logits.NONE,
        span: SpanContext | None = None,
    ) -> None:  # fmt: skip
        """See Feed."""
        super().__init__(text, span=span)
        self._score = score
        self._logits = logits

    def last(self, tokens: Sequence[int]) -> Feed[Any]:
        """See Job."""
        return Feed(self.text.sequence, tokens, score=self._score, logits=self._logits)


class Write(Job):
    """Read what is pending, then write greedily into a line until it is closed, the turn ends, or enough is written.

    The result is None; `emit` gets each piece.
    """

    def __init__(
        self, text: Readable, *, line: Line, limit: int, pieces: Pieces, stop_ids: Collection[int],
        encode: Callable[[str], list[int]], emit: Callable[[str], None], span: SpanContext | None = None,
    ) -> None:  # fmt: skip
        """`encode` makes tokens of what stood before the end of the line in the last piece."""
        super().__init__(text, span=span)
        self._line = line
        self._left = limit
        self._pieces = pieces
        self._stop_ids = stop_ids
        self._encode = encode
        self._emit = emit

    def last(self, tokens: Sequence[int]) -> Feed[Any]:
        """See Job."""
        return Feed(self.text.sequence, tokens, greedy=True)

    def take(self, output: Output) -> None:
        """See Job."""
        assert output.token is not None, "it was asked for"  # noqa: S101
        self.text.tokens.completion += 1
        self._left -= 1
        ended = output.token in self._stop_ids
        if not ended:
            piece = self._pieces.of(output.token)
            kept = self._line.feed(piece)
            self._emit(kept)
            ended = self._line.closed
            self.text.pending += self._encode(kept) if ended else [output.token]
        if ended or self._left == 0:
            self.future.set_result(None)
