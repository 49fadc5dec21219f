"""The work behind completions and chats: texts admitted, read, scored and written, several at once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from mcq_service.api.mcq.schemas import Usage
from mcq_service.api.problems import ContextExceeded, DeadlineExceeded, InvalidField
from mcq_service.engine import PromptTooLong, Tokens
from mcq_service.openai import limits
from mcq_service.openai.detokenizer import Part, Writer, echo
from mcq_service.scheduler import Chooser, Scored, threadsafe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from mcq_service.api.openai.schemas import FinishReason
    from mcq_service.engine import Tokenizer
    from mcq_service.scheduler import Admission, LanePart, LocalText, LocalTexts
    from mcq_service.telemetry import Metrics, Tracing

Mode = Literal["completion", "chat"]
OPERATIONS: dict[Mode, str] = {"completion": "text_completion", "chat": "chat"}
"""OpenTelemetry's names."""
FIELDS: dict[Mode, str] = {"completion": "prompt", "chat": "messages"}
"""Where a request has its text."""


@dataclass(frozen=True)
class Wish:
    """What is to become of one prompt.

    `limit` tokens are written at most, None: as many as the context has room for. `top` most probable tokens come with
    each, None: no log-probabilities at all. `seed` None is another one each time.
    """

    tokens: list[int]
    limit: int | None
    echo: bool = False
    top: int | None = None
    stops: Sequence[str] = ()
    temperature: float = 1
    top_p: float = 1
    seed: int | None = None

    @property
    def scores_prompt(self) -> bool:
        """Whether the prompt's own tokens get log-probabilities."""
        return self.echo and self.top is not None


class Wrote(NamedTuple):
    """The next part of the text of a prompt, which is the `prompt`th."""

    prompt: int
    part: Part


class Ended(NamedTuple):
    """The text of a prompt, which is the `prompt`th, is complete."""

    prompt: int
    reason: FinishReason
    tokens: Tokens


Event = Wrote | Ended


@dataclass
class _Work:
    """One prompt on its way."""

    index: int
    wish: Wish
    limit: int
    emit: Callable[[Event], None]
    tokenizer: Tokenizer
    first: float | None = None
    writer: Writer = field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer(self.tokenizer, stops=self.wish.stops, offset=0)

    def echo(self, tokens: Sequence[Scored]) -> None:
        """The prompt begins the text."""
        length = 0
        for part in echo(tokens, self.tokenizer):
            length += len(part.text)
            self._wrote(part)
        self.writer = Writer(self.tokenizer, stops=self.wish.stops, offset=length)

    def written(self, token: Scored) -> bool:
        """See Complete."""
        self._wrote(self.writer.take(token))
        return self.writer.stopped

    def end(self, *, by_itself: bool, tokens: Tokens) -> None:
        """Nothing more is written."""
        rest = self.writer.end()
        if rest.text:
            self._wrote(rest)
        self.emit(Ended(self.index, "stop" if by_itself else "length", tokens))

    def _wrote(self, part: Part) -> None:
        if self.first is None:
            self.first = time.monotonic()
        self.emit(Wrote(self.index, part))


class Completing:
    """Completes texts on a local engine."""

    def __init__(
        self, texts: LocalTexts, admission: Admission, *, model: str, deadline_seconds: float,
        metrics: Metrics, tracing: Tracing,
    ) -> None:  # fmt: skip
        """`model` is the name that responses carry; each prompt has its own deadline."""
        self._texts = texts
        self._admission = admission
        self.model = model
        self._deadline_seconds = deadline_seconds
        self._metrics = metrics
        self._tracing = tracing

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's."""
        return self._texts.tokenizer

    @property
    def context_length(self) -> int:
        """The most tokens of a prompt and its text together."""
        return self._texts.batcher.engine.context_length

    async def run(self, mode: Mode, wishes: Sequence[Wish]) -> AsyncGenerator[Event]:
        """What becomes of each prompt, in parts, those of several mixed.

        Raises a ProblemError, which ends all of them. Closing the iterator ends the work.
        """
        self._check(mode, wishes)
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        put = threadsafe(events.put_nowait)
        # A task of its own: whoever takes the events may do so from several, which a deadline can't span.
        work = asyncio.create_task(self._complete_all(mode, wishes, put))
        work.add_done_callback(lambda _: put(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await work
        finally:
            work.cancel()

    def _check(self, mode: Mode, wishes: Sequence[Wish]) -> None:
        """Refuse what does not fit, before anything is computed. Raises ContextExceeded or RequestTooLarge."""
        name = FIELDS[mode]
        written = [self._limit(wish) for wish in wishes]
        try:
            for wish, limit in zip(wishes, written, strict=True):
                self._texts.fit(len(wish.tokens), limit)
        except PromptTooLong as error:
            field_ = InvalidField(pointer=f"/{name}", detail=str(error))
            raise ContextExceeded(str(error), errors=[field_]) from error
        limits.check_tokens(sum(len(wish.tokens) for wish in wishes) + sum(written), name=name)
        scored = [
            limit + (len(wish.tokens) if wish.scores_prompt else 0)
            for wish, limit in zip(wishes, written, strict=True)
            if wish.top is not None
        ]
        top = max((wish.top or 0 for wish in wishes), default=0)
        limits.check_scores(scored, top=top, context_length=self.context_length, name="logprobs")

    def _limit(self, wish: Wish) -> int:
        """How many tokens may be written."""
        return max(1, self.context_length - len(wish.tokens)) if wish.limit is None else wish.limit

    async def _complete_all(self, mode: Mode, wishes: Sequence[Wish], emit: Callable[[Event], None]) -> None:
        if len(wishes) == 1:
            await self._complete(mode, 0, wishes[0], emit)
            return
        with self._admission.lane(len(wishes)) as lane:
            await lane.gather(
                [partial(self._complete, mode, index, wish, emit) for index, wish in enumerate(wishes)]
            )

    async def _complete(
        self, mode: Mode, index: int, wish: Wish, emit: Callable[[Event], None], part: LanePart | None = None
    ) -> None:
        started = time.monotonic()
        limit = self._limit(wish)
        work = _Work(index, wish, limit, emit, self.tokenizer)
        try:
            async with asyncio.timeout(self._deadline_seconds):
                # A single token comes with the prompt's logits, so it waits for nobody who writes.
                with self._admission.admit(len(wish.tokens) + limit, writes=limit > 1, part=part) as slot:
                    with self._tracing.span("admit"):
                        await slot.turn()
                    with self._texts.open_tokens(
                        wish.tokens, room=limit, share=slot.share, anew=wish.scores_prompt
                    ) as text:
                        slot.watch(text)
                        with self._tracing.span("complete", **self._attributes(mode, limit)):
                            ended = await self._write(text, work)
        except TimeoutError:
            raise DeadlineExceeded("The service is too busy for this deadline; try again later.") from None
        work.end(by_itself=ended, tokens=text.tokens)
        self._metrics.completed(
            mode=mode, operation=OPERATIONS[mode], model=self.model, tokens=_usage(text.tokens),
            seconds=time.monotonic() - started, first=None if work.first is None else work.first - started,
        )  # fmt: skip

    async def _write(self, text: LocalText, work: _Work) -> bool:
        """Whether the text came to its end by itself."""
        wish = work.wish
        if wish.echo and not wish.scores_prompt:
            await asyncio.to_thread(lambda: work.echo([Scored(token) for token in wish.tokens]))
            if work.limit == 0:
                return False  # there is nothing to compute
        return await text.complete(
            limit=work.limit,
            chooser=Chooser(temperature=wish.temperature, top_p=wish.top_p, seed=wish.seed),
            top=wish.top,
            read=work.echo if wish.scores_prompt else None,
            written=work.written,
        )

    def _attributes(self, mode: Mode, limit: int) -> dict[str, str | int]:
        """OpenTelemetry's names for what a model is asked."""
        return {
            "gen_ai.operation.name": OPERATIONS[mode],
            "gen_ai.request.model": self.model,
            "gen_ai.request.max_tokens": limit,
        }


def _usage(tokens: Tokens) -> Usage:
    return Usage(
        prompt_tokens=tokens.prompt, completion_tokens=tokens.completion, cached_tokens=tokens.cached
    )
