"""The job of a completion: score a prompt's own tokens, and write on from it by chance or greedily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcq_service.engines import Feed, Logits
from mcq_service.scheduling.jobs import Job
from mcq_service.scheduling.logits import Chooser, Scored, scored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from opentelemetry.trace import SpanContext

    from mcq_service.engines import Output
    from mcq_service.scheduling.jobs import Readable


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
