"""Generate text for completions and chats: admit, read, score and write several prompts at once."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec

from mcq_service.api.problems import ContextExceeded, InvalidField
from mcq_service.engine import PromptTooLong, Tokens
from mcq_service.openai import request_limits
from mcq_service.openai.detokenizer import Detokenizer, TextPiece, echo_prompt
from mcq_service.prompts import in_prompt_thread
from mcq_service.runtime.task_group import emitted
from mcq_service.scheduler import Sampler, ScoredToken, threadsafe
from mcq_service.telemetry.gen_ai import TEXT_COMPLETION, span_attributes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from mcq_service.api.openai.schemas import FinishReason
    from mcq_service.engine import JSONGrammar, JSONGrammars, Tokenizer
    from mcq_service.prompts import ChatTemplate
    from mcq_service.scheduler import Admission, LocalText, LocalTextEngine, RequestPart
    from mcq_service.telemetry import Metrics, Tracing

P = ParamSpec("P")
Mode = Literal["completion", "chat"]
OPERATIONS: dict[Mode, str] = {"completion": TEXT_COMPLETION, "chat": "chat"}
"""OpenTelemetry's names."""
FIELDS: dict[Mode, str] = {"completion": "prompt", "chat": "messages"}
"""The request's field with the text."""

# A thread of its own, because a large schema takes a second, and only one so that clients can't occupy all CPUs with
# schemas: a client that leaves does not free it before its schema is compiled.
_compiler = ThreadPoolExecutor(max_workers=1, thread_name_prefix="schema")


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt and how to continue it.

    Writes at most `limit` tokens; None: as many as the context has room for. Each token comes with the `top` most
    probable ones; None: without log-probabilities. `seed` None gives different tokens each time. The written text
    follows `grammar`, which is for this text only.
    """

    tokens: list[int]
    limit: int | None
    echo: bool = False
    top: int | None = None
    stops: Sequence[str] = ()
    temperature: float = 1
    top_p: float = 1
    seed: int | None = None
    grammar: JSONGrammar | None = None

    @property
    def scores_prompt(self) -> bool:
        """True if the prompt's own tokens get log-probabilities."""
        return self.echo and self.top is not None


class Generated(NamedTuple):
    """The next piece of text for the prompt with this index."""

    prompt: int
    piece: TextPiece


class Finished(NamedTuple):
    """The text for the prompt with this index is complete."""

    prompt: int
    reason: FinishReason
    tokens: Tokens


Event = Generated | Finished


@dataclass
class _RunningPrompt:
    """One prompt in progress."""

    index: int
    request: GenerationRequest
    limit: int
    emit: Callable[[Event], None]
    tokenizer: Tokenizer
    first: float | None = None
    detokenizer: Detokenizer = field(init=False)

    def __post_init__(self) -> None:
        self.detokenizer = Detokenizer(self.tokenizer, stops=self.request.stops, offset=0)

    def echo(self, tokens: Sequence[ScoredToken]) -> None:
        """Emit the prompt as the beginning of the text."""
        length = 0
        for piece in echo_prompt(tokens, self.tokenizer):
            length += len(piece.text)
            self.emit(Generated(self.index, piece))
        self.detokenizer = Detokenizer(self.tokenizer, stops=self.request.stops, offset=length)

    def push(self, token: ScoredToken) -> bool:
        """Emit a token's text; return whether a stop sequence ended the text. See SampleTask."""
        if self.first is None:
            self.first = time.monotonic()
        self.emit(Generated(self.index, self.detokenizer.push(token)))
        return self.detokenizer.stopped

    def finish(self, *, by_itself: bool, tokens: Tokens) -> None:
        """Emit the rest of the text and its end."""
        rest = self.detokenizer.finish()
        if rest.text:
            self.emit(Generated(self.index, rest))
        self.emit(Finished(self.index, "stop" if by_itself else "length", tokens))


class Generation:
    """Generates text on a local engine."""

    def __init__(
        self, texts: LocalTextEngine, admission: Admission, *, model: str, chat_template: ChatTemplate,
        grammars: JSONGrammars, metrics: Metrics, tracing: Tracing,
    ) -> None:  # fmt: skip
        """Use `model` as the name in responses."""
        self._texts = texts
        self._admission = admission
        self.model = model
        self.chat_template = chat_template
        self._metrics = metrics
        self._tracing = tracing
        self._grammars = grammars

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return self._texts.tokenizer

    async def encode(
        self, encode: Callable[P, list[int]], *arguments: P.args, **options: P.kwargs
    ) -> list[int]:
        """Call `encode` in a thread: the template and the tokenizer may take a second. Raises DeadlinePassed."""
        async with self._admission.deadline():
            return await in_prompt_thread(encode, *arguments, **options)

    async def grammar(self, schema: dict[str, Any]) -> JSONGrammar:
        """Return the grammar of texts that follow the schema, to copy for each text.

        Raises BadSchema or DeadlinePassed.
        """
        async with self._admission.deadline():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(_compiler, self._grammars.compile, schema)

    @property
    def context_length(self) -> int:
        """The largest number of tokens of a prompt and its continuation."""
        return self._texts.scheduler.engine.context_length

    def run(self, mode: Mode, requests: Sequence[GenerationRequest]) -> AsyncGenerator[Event]:
        """Continue each prompt; yield the events of all prompts as they come.

        Raises a ProblemError or SchedulerError, which ends all of them. Closing the iterator cancels the work. Each
        prompt has its own deadline.
        """
        self._check(mode, requests)
        return emitted(lambda emit: self._run_all(mode, requests, threadsafe(emit)))

    def _check(self, mode: Mode, requests: Sequence[GenerationRequest]) -> None:
        """Refuse prompts that do not fit, before any computation. Raises ContextExceeded or RequestTooLarge."""
        name = FIELDS[mode]
        room = [self._limit(request) for request in requests]
        try:
            for request, limit in zip(requests, room, strict=True):
                self._texts.check_fits(len(request.tokens), limit)
        except PromptTooLong as error:
            field_ = InvalidField(pointer=f"/{name}", detail=str(error))
            raise ContextExceeded(str(error), errors=[field_]) from error
        request_limits.check_tokens(sum(len(request.tokens) for request in requests) + sum(room), name=name)
        scored = [
            limit + (len(request.tokens) if request.scores_prompt else 0)
            for request, limit in zip(requests, room, strict=True)
            if request.top is not None
        ]
        top = max((request.top or 0 for request in requests), default=0)
        request_limits.check_scores(scored, top=top, context_length=self.context_length, name="logprobs")

    def _limit(self, request: GenerationRequest) -> int:
        """Return the largest number of tokens to write."""
        return max(1, self.context_length - len(request.tokens)) if request.limit is None else request.limit

    async def _run_all(
        self, mode: Mode, requests: Sequence[GenerationRequest], emit: Callable[[Event], None]
    ) -> None:
        if len(requests) == 1:
            await self._run_one(mode, 0, requests[0], emit)
            return
        with self._admission.admit_parts(len(requests)) as parts:
            await parts.gather(
                [partial(self._run_one, mode, index, each, emit) for index, each in enumerate(requests)]
            )

    async def _run_one(
        self,
        mode: Mode,
        index: int,
        request: GenerationRequest,
        emit: Callable[[Event], None],
        part: RequestPart | None = None,
    ) -> None:
        started = time.monotonic()
        limit = self._limit(request)
        running = _RunningPrompt(index, request, limit, emit, self.tokenizer)
        async with self._admission.deadline():
            # A single token comes with the prompt's logits, so it need not wait for a writer's place.
            size = len(request.tokens) + limit
            with self._admission.admit(size, writes=limit > 1, part=part) as slot:
                with self._tracing.span("admit"):
                    await slot.turn()
                with self._texts.open_tokens(
                    request.tokens,
                    room=limit,
                    share=slot.share,
                    bypass_prefix_cache=request.scores_prompt,
                ) as text:
                    slot.watch(text)
                    attributes = span_attributes(OPERATIONS[mode], self.model, max_tokens=limit)
                    with self._tracing.span("complete", **attributes):
                        ended = await self._generate(text, running)
        running.finish(by_itself=ended, tokens=text.tokens)
        self._metrics.completed(
            mode=mode, operation=OPERATIONS[mode], model=self.model, tokens=text.tokens.usage,
            seconds=time.monotonic() - started, first=None if running.first is None else running.first - started,
        )  # fmt: skip

    async def _generate(self, text: LocalText, running: _RunningPrompt) -> bool:
        """Write the text; return whether it ended by itself."""
        request = running.request
        if request.echo and not request.scores_prompt:
            await asyncio.to_thread(lambda: running.echo([ScoredToken(token) for token in request.tokens]))
            if running.limit == 0:
                return False  # there is nothing to compute
        return await text.sample(
            limit=running.limit,
            sampler=Sampler(temperature=request.temperature, top_p=request.top_p, seed=request.seed),
            top=request.top,
            on_prompt=running.echo if request.scores_prompt else None,
            on_token=running.push,
            grammar=request.grammar,
            stop_ids=self.tokenizer.control_tokens(request.stops),
        )
