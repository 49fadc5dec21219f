"""Texts on a local engine: what the use cases hold, and the batcher reads and writes."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import trace

from mcq_service.engine import PromptTooLong, Share, Tokens
from mcq_service.runtime.task_group import gather
from mcq_service.scheduler.scheduler import STEP_TOKENS
from mcq_service.scheduler.tasks import Complete, Job, Score, Write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from mcq_service.engine import Engine, Tokenizer
    from mcq_service.prompts import Prompt
    from mcq_service.scheduler.sampler import Chooser, Scored
    from mcq_service.scheduler.scheduler import Batcher
    from mcq_service.yaml_output import Line


T = TypeVar("T")

_ARRIVALS = itertools.count()
_SCORED_TOKENS = 2 * STEP_TOKENS  # open at once for one question: they fill every step


class LocalText:
    """A text on the batcher's engine. See Text; between its calls it belongs to the event loop's thread."""

    def __init__(
        self, batcher: Batcher, tokenizer: Tokenizer, tokens: list[int], *, room: int, share: Share,
        parent: LocalText | None = None, anew: bool = False,
    ) -> None:  # fmt: skip
        """`tokens` are the whole text's, of which `parent`, if there is one, has read the first ones.

        The text's turn among others comes by its `share`.

        `anew` reads every token, those of shared prefixes too: else they would have no logits.
        """
        self.tokens = Tokens(prompt=len(tokens))
        self.begun: float | None = None
        own = len(tokens) - (parent.tokens.prompt if parent else 0)
        self.share, self.turn = share, share.place(own, now=batcher.now)
        self.since_turn = 0
        self.arrival = next(_ARRIVALS)
        self.sequence: Any = None
        self.pending = tokens
        self._batcher = batcher
        self._tokenizer = tokenizer
        self._room = room
        self._parent = parent
        self._anew = anew

    def begin(self, engine: Engine[Any]) -> None:
        """See Readable."""
        if self.sequence is not None:
            return
        if self._parent is not None:
            own = len(self.pending) - self._parent.sequence.length
            self.sequence = engine.fork(self._parent.sequence, room=own + self._room)
        elif self._anew:
            # One token alone begins with no prefix.
            self.sequence = engine.open(self.pending[:1], room=len(self.pending) - 1 + self._room)
        else:
            self.sequence = engine.open(self.pending, room=self._room)
        self.tokens.cached = self.sequence.length
        self.pending = self.pending[self.sequence.length :]

    async def read(self) -> None:
        """Read what is pending, for forks to share."""
        await self.run(Job(self, span=_span()))

    async def letters(self, labels: Sequence[str]) -> list[float]:
        """See Text."""
        ids = [self._tokenizer.letters[label] for label in labels]
        output = await self.run(Score(self, score=ids, span=_span()))
        return list(output.scores)

    def force(self, text: str) -> None:
        """See Text."""
        self.pending += self._tokenizer.ours(text)

    async def write(self, line: Line, *, limit: int) -> AsyncIterator[str]:
        """See Text."""
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        put = threadsafe(pieces.put_nowait)
        job = Write(
            self, line=line, limit=limit, pieces=self._tokenizer.pieces(), stop_ids=self._tokenizer.stop_ids,
            encode=self._tokenizer.ours, emit=put, span=_span(),
        )  # fmt: skip
        job.future.add_done_callback(lambda _: put(None))
        self._batcher.submit(job)
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            await asyncio.wrap_future(job.future)
        finally:
            job.future.cancel()

    async def complete(
        self, *, limit: int, chooser: Chooser, top: int | None,
        read: Callable[[list[Scored]], None] | None, written: Callable[[Scored], bool],
    ) -> bool:  # fmt: skip
        """Write up to `limit` tokens; whether the text came to its end by itself. See Complete."""
        job = Complete(
            self, limit=limit, chooser=chooser, top=top, stop_ids=self._tokenizer.stop_ids, read=read,
            written=written, span=_span(),
        )  # fmt: skip
        ended: bool = await self.run(job)
        return ended

    async def run(self, job: Job) -> Any:
        """The job's result; cancelling ends it before the next step."""
        self._batcher.submit(job)
        return await asyncio.wrap_future(job.future)


class LocalTexts:
    """Opens texts on the batcher's engine. See Texts."""

    def __init__(self, batcher: Batcher, tokenizer: Tokenizer) -> None:
        """The tokenizer is that of the engine's model."""
        self.batcher = batcher
        self.tokenizer = tokenizer

    async def encode(self, prompt: Prompt, *, room: int) -> LocalPrompt:
        """See Texts."""
        tokens = await asyncio.to_thread(self.tokenizer.prompt, prompt)
        self.fit(len(tokens), room)
        return LocalPrompt(self, tokens, room)

    def fit(self, size: int, room: int) -> None:
        """Raise PromptTooLong where so many tokens, and so many more, are too many for a text."""
        limit = self.batcher.engine.context_length
        if size + room > limit:
            raise PromptTooLong(
                f"The prompt has {size} tokens and the answer may take {room}; together they must not be "  # noqa: EM102
                f"more than {limit}."
            )

    @contextmanager
    def open_tokens(
        self, tokens: list[int], *, room: int, share: Share | None = None, parent: LocalText | None = None,
        anew: bool = False,
    ) -> Iterator[LocalText]:  # fmt: skip
        """A text of tokens, closed at the end; see LocalText. Raises PromptTooLong."""
        self.fit(len(tokens), room)
        share = share or Share()
        text = LocalText(
            self.batcher, self.tokenizer, tokens, room=room, share=share, parent=parent, anew=anew
        )
        try:
            yield text
        finally:
            self.batcher.close(text)

    async def score(
        self, prompts: Sequence[Prompt], labels: Sequence[str], *, share: Share
    ) -> tuple[list[list[float]], Tokens]:
        """See Texts: the question is read once, and shared by a few prompts at a time."""
        stem, rests = await asyncio.to_thread(self._encode_parts, prompts)
        together = asyncio.Semaphore(_together(max(map(len, rests))))

        async def one(rest: list[int]) -> tuple[list[float], Tokens]:
            async with together:
                with self.open_tokens([*stem, *rest], room=0, share=share, parent=shared) as text:
                    return await text.letters(labels), text.tokens

        with self.open_tokens(stem, room=0, share=share) as shared:
            await shared.read()
            scored = await gather(one(rest) for rest in rests)
        total = sum(tokens.prompt for _, tokens in scored)
        computed = len(stem) - shared.tokens.cached + sum(map(len, rests))
        return [scores for scores, _ in scored], Tokens(prompt=total, cached=total - computed)

    def score_size(self, size: int, count: int) -> int:
        """See Texts: the stem and some of what follows it, each of which is less than a prompt."""
        return size + min(count, _together(size)) * size

    def _encode_parts(self, prompts: Sequence[Prompt]) -> tuple[list[int], list[list[int]]]:
        """The tokens of the stem, which prompts have in common, and of what follows it in each."""
        return self.tokenizer.stem(prompts[0]), [self.tokenizer.rest(prompt) for prompt in prompts]


@dataclass(frozen=True)
class LocalPrompt:
    """A prompt's tokens. See Encoded."""

    texts: LocalTexts
    tokens: list[int]
    room: int

    @property
    def size(self) -> int:
        """See Encoded."""
        return len(self.tokens)

    def open(self, share: Share) -> AbstractContextManager[LocalText]:
        """See Encoded."""
        return self.texts.open_tokens(self.tokens, room=self.room, share=share)


def _together(size: int) -> int:
    """How many texts of this size are scored at once."""
    return max(2, _SCORED_TOKENS // max(1, size))


def threadsafe(function: Callable[[T], None]) -> Callable[[T], None]:
    """Call the function in the event loop's thread, from any."""
    loop = asyncio.get_running_loop()

    def call(argument: T) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(function, argument)

    return call


def _span() -> trace.SpanContext | None:
    """The current request's span, where it is sampled."""
    span = trace.get_current_span().get_span_context()
    return span if span.is_valid and span.trace_flags.sampled else None
