"""What a text can want of the engine: to be read and scored, or to be written on.

Jobs are made by the event loop's thread and run by the engine's; `future` is what both look at.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from mcq_service.engine import Feed, Logits
from mcq_service.scheduler.sampler import Chooser, Scored, scored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from opentelemetry.trace import SpanContext

    from mcq_service.engine import Engine, Output, Pieces, Share, Tokens
    from mcq_service.yaml_output import Line


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


class Complete(Job):
    """Read what is pending, scoring it where that is wanted, then write up to `limit` tokens.

    Of a prompt that is scored, no more logits are in memory than one step's, 311 MB of 512 tokens with a vocabulary
    of 152,000: they are reduced to what is wanted of them as soon as the step is done.

    The result is whether the text came to its end by itself: by a stop token, or because `written` said so.
    """

    def __init__(
        self, text: Readable, *, limit: int, chooser: Chooser, top: int | None, stop_ids: Collection[int],
        read: Callable[[list[Scored]], None] | None, written: Callable[[Scored], bool],
        span: SpanContext | None = None,
    ) -> None:  # fmt: skip
        """`top` most probable tokens come with each token, None: no log-probabilities at all.

        `read` gets the prompt's tokens, scored, the first of them without a score; None: they are not scored.
        `written` gets each token that was chosen and says whether the text ends with it. Both are called on the
        engine's thread.
        """
        super().__init__(text, span=span)
        self._left = limit
        self._chooser = chooser
        self._top = top
        self._stop_ids = stop_ids
        self._read = read
        self._written = written
        self._prompt: list[Scored] = [Scored(text.pending[0])]

    def feed(self, count: int) -> Feed[Any]:
        """See Job."""
        feed = super().feed(count)
        if self._read is None:
            return feed
        return Feed(feed.sequence, feed.tokens, logits=Logits.EVERY)

    def last(self, tokens: Sequence[int]) -> Feed[Any]:
        """See Job."""
        if self._left == 0:
            return Feed(self.text.sequence, tokens)
        if self._chooser.greedy and self._top is None:
            return Feed(self.text.sequence, tokens, greedy=True)
        return Feed(self.text.sequence, tokens, logits=Logits.LAST)

    def read(self, count: int, output: Output) -> None:
        """See Job."""
        if self._read is not None:
            assert output.logits is not None, "they were asked for"  # noqa: S101
            following = self.text.pending[1 : count + 1]
            self._prompt += [
                scored(row, token, top=self._top or 0)
                for row, token in zip(output.logits, following, strict=False)
            ]
        super().read(count, output)

    def take(self, output: Output) -> None:
        """See Job."""
        if self._read is not None:
            self._read(self._prompt)
            self._read = None
        if self._left == 0:
            self.future.set_result(False)
            return
        token = self._choose(output)
        self.text.tokens.completion += 1
        self._left -= 1
        stopped = token.token in self._stop_ids
        ended = self._written(token) or stopped
        if ended or self._left == 0:
            self.future.set_result(ended)
        else:
            self.text.pending.append(token.token)

    def _choose(self, output: Output) -> Scored:
        if output.logits is None:
            assert output.token is not None, "it was asked for"  # noqa: S101
            return Scored(output.token)
        row = output.logits[-1]
        token = self._chooser.choose(row)
        return Scored(token) if self._top is None else scored(row, token, top=self._top)
