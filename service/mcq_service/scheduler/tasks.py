"""The tasks of a text on the engine: read and score tokens, write a line, or sample a continuation.

The event loop's thread creates tasks and the engine's thread runs them; both use `future`.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from mcq_service.engine import BatchItem, Logits
from mcq_service.scheduler.sampler import Sampler, ScoredToken, score_token
from mcq_service.telemetry.tracing import sampled_span

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcq_service.engine import Engine, JSONGrammar, Output, Share, Tokens, TokenStream
    from mcq_service.scheduler.prompt_lookup import PromptLookup
    from mcq_service.yaml_output import Line


class SchedulableText(Protocol):
    """A text with tokens to read."""

    sequence: Any
    pending: list[int]
    tokens: Tokens
    share: Share
    turn: float
    """When to read it, on the scheduler's clock; the smaller `arrival` breaks a tie."""
    since_turn: int
    """Tokens read since its turn was set."""
    arrival: int
    started_at: float | None
    lookup: PromptLookup
    """All of its tokens."""

    def open_sequence(self, engine: Engine[Any]) -> None:
        """Open the sequence, unless it is open."""

    def append(self, tokens: Sequence[int]) -> None:
        """Add tokens to read."""

    def forget(self, count: int) -> None:
        """Drop the last `count` tokens that were read; the engine's thread calls this."""


class Task:
    """Read what is pending, in as many steps as needed; the result is the last Output."""

    def __init__(self, text: SchedulableText) -> None:
        """Run on `text`; the current span is the request's, which the steps link."""
        self.text = text
        self.span = sampled_span()
        self.future: Future[Any] = Future()

    def nothing_pending(self) -> None:
        """Finish or fail a task that has nothing to read when it starts."""
        raise ValueError("a text has nothing to read")

    def batch_item(self, count: int, *, drafts: int = 0) -> BatchItem[Any]:
        """Return the next `count` pending tokens as a batch item; the last of them asks for the outputs.

        A task that writes may add up to `drafts` tokens.
        """
        if self.text.started_at is None:
            self.text.started_at = time.monotonic()
        tokens = self.text.pending[:count]
        if count < len(self.text.pending):
            return BatchItem(self.text.sequence, tokens)
        return self.last_item(tokens, drafts=drafts)

    def last_item(self, tokens: Sequence[int], *, drafts: int) -> BatchItem[Any]:
        """Return the batch item of the last pending tokens."""
        return BatchItem(self.text.sequence, tokens)

    def advance(self, count: int, output: Output) -> None:
        """Remove `count` tokens that were read; `output` belongs to the last of them."""
        del self.text.pending[:count]
        if not self.text.pending:
            self.all_read(output)

    def all_read(self, output: Output) -> None:
        """Finish, or give the text more to read: nothing is pending."""
        self.future.set_result(output)


class ReadTask(Task):
    """Read what is pending, if anything; the result does not matter."""

    def nothing_pending(self) -> None:
        """See Task. The last step of a cancelled task may have read everything."""
        self.future.set_result(None)


class ScoreTask(Task):
    """Read what is pending; the result is an Output with the logits of some tokens, or of all."""

    def __init__(
        self, text: SchedulableText, *, score: Sequence[int] = (), logits: Logits = Logits.NONE
    ) -> None:
        """See BatchItem."""
        super().__init__(text)
        self._score = score
        self._logits = logits

    def last_item(self, tokens: Sequence[int], *, drafts: int) -> BatchItem[Any]:
        """See Task."""
        return BatchItem(self.text.sequence, tokens, score=self._score, logits=self._logits)


class WritingTask(Task):
    """Read what is pending, then write."""

    def __init__(self, text: SchedulableText, *, limit: int) -> None:
        """Write at most `limit` tokens."""
        super().__init__(text)
        self.remaining = limit
        self._draft: list[int] = []

    def greedy_item(self, tokens: Sequence[int], *, drafts: int) -> BatchItem[Any]:
        """Return a batch item that reads a draft too, and asks for the next token after each of its tokens."""
        self._draft = self.text.lookup.draft(min(drafts, self.remaining - 1))
        return BatchItem(self.text.sequence, [*tokens, *self._draft], greedy=1 + len(self._draft))

    def write_greedy(self, output: Output) -> None:
        """Write the tokens of the draft that are the model's own, and the one after them; forget the others."""
        kept = 0
        try:
            for token in output.greedy:
                self.write(ScoredToken(token))
                if self.future.done() or self._draft[kept : kept + 1] != [token]:
                    break
                self.text.pending.clear()  # this step has read it
                kept += 1
        finally:
            if kept < len(self._draft):
                self.text.forget(len(self._draft) - kept)

    def write(self, token: ScoredToken) -> None:
        """Add a token to the text, or finish."""
        raise NotImplementedError


class LineTask(WritingTask):
    """Read what is pending, then write greedily into a line until it closes, the turn ends, or the limit is reached.

    The result is None; `emit` gets each piece.
    """

    def __init__(
        self, text: SchedulableText, *, line: Line, limit: int, stream: TokenStream, stop_ids: Collection[int],
        encode: Callable[[str], list[int]], emit: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Write at most `limit` tokens. `encode` tokenises what precedes the line's end in the last piece."""
        super().__init__(text, limit=limit)
        self._line = line
        self._stream = stream
        self._stop_ids = stop_ids
        self._encode = encode
        self._emit = emit

    def last_item(self, tokens: Sequence[int], *, drafts: int) -> BatchItem[Any]:
        """See Task."""
        return self.greedy_item(tokens, drafts=drafts)

    def all_read(self, output: Output) -> None:
        """See Task."""
        self.write_greedy(output)

    def write(self, token: ScoredToken) -> None:
        """See WritingTask."""
        self.text.tokens.completion += 1
        self.remaining -= 1
        ended = token.token in self._stop_ids
        if not ended:
            kept = self._line.feed(self._stream.push(token.token))
            self._emit(kept)
            ended = self._line.closed
            self.text.append(self._encode(kept) if ended else [token.token])
        if ended or self.remaining == 0:
            self.future.set_result(None)


class SampleTask(WritingTask):
    """Read what is pending, scoring it if asked, then sample up to `limit` tokens.

    Logits of a scored prompt stay in memory for one step only (311 MB for 512 tokens and a vocabulary of 152,000):
    each step reduces them to scores.

    The result is True if the text ended by itself: by a stop token, or because `on_token` said so.
    """

    def __init__(
        self, text: SchedulableText, *, limit: int, sampler: Sampler, top: int | None, stop_ids: Collection[int],
        on_prompt: Callable[[list[ScoredToken]], None] | None, on_token: Callable[[ScoredToken], bool],
        grammar: JSONGrammar | None = None,
    ) -> None:  # fmt: skip
        """Return the `top` most probable tokens with each token; None: no log-probabilities at all.

        `on_prompt` gets the prompt's tokens with their scores (the first has none); None: do not score them.
        `on_token` gets each sampled token and returns whether the text ends with it. Both run on the engine's thread.
        The sampled tokens follow `grammar`, and the text ends with it.
        """
        super().__init__(text, limit=limit)
        self._sampler = sampler
        self._top = top
        self._stop_ids = stop_ids
        self._on_prompt = on_prompt
        self._on_token = on_token
        self._grammar = grammar
        self._prompt: list[ScoredToken] = [ScoredToken(text.pending[0])]

    def batch_item(self, count: int, *, drafts: int = 0) -> BatchItem[Any]:
        """See Task."""
        if self._on_prompt is None:
            return super().batch_item(count, drafts=drafts)
        item = super().batch_item(count)
        return BatchItem(item.sequence, item.tokens, logits=Logits.EVERY)

    def last_item(self, tokens: Sequence[int], *, drafts: int) -> BatchItem[Any]:
        """See Task."""
        if self.remaining == 0:
            return BatchItem(self.text.sequence, tokens)
        if self._sampler.greedy and self._top is None and self._grammar is None:
            return self.greedy_item(tokens, drafts=drafts)
        return BatchItem(self.text.sequence, tokens, logits=Logits.LAST)

    def advance(self, count: int, output: Output) -> None:
        """See Task."""
        if self._on_prompt is not None:
            assert output.logits is not None, "the item asked for every token's logits"
            following = self.text.pending[1 : count + 1]
            self._prompt += [
                score_token(row, token, top=self._top or 0)
                for row, token in zip(output.logits, following, strict=False)
            ]
        super().advance(count, output)

    def all_read(self, output: Output) -> None:
        """See Task."""
        if self._on_prompt is not None:
            self._on_prompt(self._prompt)
            self._on_prompt = None
        if self.remaining == 0:
            self.future.set_result(False)
        elif output.logits is None:
            self.write_greedy(output)
        else:
            self.write(self._sample(output.logits[-1]))

    def write(self, token: ScoredToken) -> None:
        """See WritingTask."""
        self.text.tokens.completion += 1
        self.remaining -= 1
        stopped = token.token in self._stop_ids
        complete = self._grammar is not None and self._grammar.push(token.token)
        ended = self._on_token(token) or stopped or complete
        if ended or self.remaining == 0:
            self.future.set_result(ended)
        else:
            self.text.append([token.token])

    def _sample(self, row: NDArray[np.float32]) -> ScoredToken:
        token = self._sampler.sample(row if self._grammar is None else self._grammar.allowed(row))
        return ScoredToken(token) if self._top is None else score_token(row, token, top=self._top)
