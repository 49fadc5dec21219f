"""A text on a local engine: a use case holds it, the scheduler reads and writes it."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mcq_service.engine import Logits, Tokens
from mcq_service.scheduler.prompt_lookup import PromptLookup
from mcq_service.scheduler.tasks import LineTask, ReadTask, SampleTask, ScoreTask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from mcq_service.engine import Engine, JSONGrammar, Share, Tokenizer
    from mcq_service.scheduler.sampler import Sampler, ScoredToken
    from mcq_service.scheduler.scheduler import Scheduler
    from mcq_service.scheduler.tasks import Task
    from mcq_service.yaml_output import Line


T = TypeVar("T")

_ARRIVALS = itertools.count()


class LocalText:
    """A text on the scheduler's engine. See Text; between its calls it belongs to the event loop's thread."""

    def __init__(
        self, scheduler: Scheduler, tokenizer: Tokenizer, tokens: list[int], *, room: int, share: Share,
        parent: LocalText | None = None, bypass_prefix_cache: bool = False,
    ) -> None:  # fmt: skip
        """Start a text of `tokens`; `parent`, if any, has the first of them, and is read before this text.

        `share` decides when its turn comes. `bypass_prefix_cache` reads every token, also those of shared prefixes,
        which would otherwise have no logits.
        """
        self.tokens = Tokens(prompt=len(tokens))
        own = len(tokens) - (parent.tokens.prompt if parent else 0)
        self.share, self.turn = share, share.place(own, now=scheduler.now)
        self.since_turn = 0
        self.arrival = next(_ARRIVALS)
        self.sequence: Any = None
        self.pending = tokens
        self.lookup = PromptLookup(tokens)
        self._scheduler = scheduler
        self._tokenizer = tokenizer
        self._room = room
        self._parent = parent
        self._bypass_prefix_cache = bypass_prefix_cache
        self._started_at: float | None = None
        self._reads_parent = False
        self.reading = asyncio.Lock()  # held while a fork reads it

    @property
    def started_at(self) -> float | None:
        """See Text. If this text has its parent read, it starts when that reading starts."""
        return self._parent.started_at if self._parent and self._reads_parent else self._started_at

    @started_at.setter
    def started_at(self, seconds: float | None) -> None:
        self._started_at = seconds

    def open_sequence(self, engine: Engine[Any]) -> None:
        """See SchedulableText."""
        if self.sequence is not None:
            return
        if self._parent is not None:
            own = len(self.pending) - self._parent.sequence.length
            self.sequence = engine.fork(self._parent.sequence, room=own + self._room)
        elif self._bypass_prefix_cache:
            # A single token matches no prefix.
            self.sequence = engine.open(self.pending[:1], room=len(self.pending) - 1 + self._room)
        else:
            self.sequence = engine.open(self.pending, room=self._room)
        length = self.sequence.length
        self.tokens.cached = self._parent.tokens.cached if self._parent and self._reads_parent else length
        self.pending = self.pending[length:]

    def append(self, tokens: Sequence[int]) -> None:
        """See SchedulableText."""
        self.pending += tokens
        self.lookup.append(tokens)

    def forget(self, count: int) -> None:
        """See SchedulableText."""
        self._scheduler.engine.forget(self.sequence, count)

    async def read(self) -> None:
        """Read what is pending, so that forks can share it."""
        await self.run(ReadTask(self))

    async def _read_parent(self) -> None:
        """Read the parent, unless another text has, or is reading it."""
        if self._parent is None:
            return
        async with self._parent.reading:
            if self._parent.pending:
                self._reads_parent = True
                await self._parent.read()

    async def score_labels(self, labels: Sequence[str]) -> list[float]:
        """See Text."""
        ids = [self._tokenizer.label_tokens[label] for label in labels]
        output = await self.run(ScoreTask(self, score=ids))
        return list(output.scores)

    async def score_labels_and_mass(self, labels: Sequence[str]) -> tuple[list[float], float]:
        """See Text."""
        ids = [self._tokenizer.label_tokens[label] for label in labels]
        output = await self.run(ScoreTask(self, score=ids, logits=Logits.LAST))
        row = output.logits[-1].astype(np.float64)
        weights = np.exp(row - row.max())
        return list(output.scores), min(1.0, float(weights[ids].sum() / weights.sum()))

    def force(self, text: str) -> None:
        """See Text."""
        self.append(self._tokenizer.encode_trusted(text))

    async def write(self, line: Line, *, limit: int) -> AsyncIterator[str]:
        """See Text."""
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        put = threadsafe(pieces.put_nowait)
        task = LineTask(
            self, line=line, limit=limit, stream=self._tokenizer.stream(), stop_ids=self._tokenizer.stop_ids,
            encode=self._tokenizer.encode_trusted, emit=put,
        )  # fmt: skip
        task.future.add_done_callback(lambda _: put(None))
        await self._read_parent()
        self._scheduler.submit(task)
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            await asyncio.wrap_future(task.future)
        finally:
            task.future.cancel()

    async def sample(
        self, *, limit: int, sampler: Sampler, top: int | None,
        on_prompt: Callable[[list[ScoredToken]], None] | None, on_token: Callable[[ScoredToken], bool],
        grammar: JSONGrammar | None = None, stop_ids: frozenset[int] = frozenset(),
    ) -> bool:  # fmt: skip
        """Sample up to `limit` tokens; return whether the text ended by itself. See SampleTask.

        `stop_ids` end the text, too.
        """
        task = SampleTask(
            self, limit=limit, sampler=sampler, top=top, stop_ids=self._tokenizer.stop_ids | stop_ids,
            on_prompt=on_prompt, on_token=on_token, grammar=grammar,
        )  # fmt: skip
        ended: bool = await self.run(task)
        return ended

    async def run(self, task: Task) -> Any:
        """Run a task and return its result; cancelling ends it before the next step."""
        await self._read_parent()
        self._scheduler.submit(task)
        return await asyncio.wrap_future(task.future)


def threadsafe(function: Callable[[T], None]) -> Callable[[T], None]:
    """Wrap a function so that any thread can call it in the event loop's thread."""
    loop = asyncio.get_running_loop()

    def call(argument: T) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(function, argument)

    return call
