"""Completions in OpenAI's form: requests to wishes, events to responses."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcq_service.completing.completing import Ended, Wish
from mcq_service.completing.tokens import spelled, usage
from mcq_service.problems import InvalidQuestion
from mcq_service.protocol import InvalidField
from mcq_service.protocol.openai import Completion, CompletionChoice, Logprobs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from mcq_service.completing.completing import Completing, Event, Wrote
    from mcq_service.completing.writing import Placed
    from mcq_service.engines import Tokenizer, Tokens
    from mcq_service.protocol.openai import CompletionRequest, FinishReason

DEFAULT_TOKENS = 16


@dataclass
class _Gathered:
    """What has become of one prompt so far."""

    text: str = ""
    tokens: list[Placed] = field(default_factory=list)
    reason: FinishReason | None = None


class Completions:
    """The use case behind /v1/completions."""

    def __init__(self, completing: Completing) -> None:
        """On the engine that `completing` has."""
        self._completing = completing

    async def whole(self, request: CompletionRequest) -> Completion:
        """All prompts' texts. Raises a ProblemError."""
        wishes = await self._wishes(request)
        gathered = [_Gathered() for _ in wishes]
        counts: list[Tokens] = []
        async with aclosing(self._completing.run("completion", wishes)) as events:
            async for event in events:
                each = gathered[event.prompt]
                if isinstance(event, Ended):
                    each.reason = event.reason
                    counts.append(event.tokens)
                else:
                    each.text += event.part.text
                    each.tokens += event.part.tokens
        choices = [
            CompletionChoice(
                index=index, text=each.text, logprobs=self._logprobs(each.tokens, request), finish_reason=each.reason
            )
            for index, each in enumerate(gathered)
        ]  # fmt: skip
        return self._response(_new_id(), choices).model_copy(update={"usage": usage(counts)})

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Completion]:
        """The texts in chunks; the last one, where it is wanted, has the usage. Raises a ProblemError."""
        id_, counts = _new_id(), []
        async with aclosing(self._completing.run("completion", await self._wishes(request))) as events:
            async for event in events:
                if isinstance(event, Ended):
                    counts.append(event.tokens)
                yield self._response(id_, [self._chunk(event, request)])
        if request.wants_usage:
            yield self._response(id_, []).model_copy(update={"usage": usage(counts)})

    async def _wishes(self, request: CompletionRequest) -> list[Wish]:
        # In a thread of its own: a long text takes the tokenizer a while.
        prompts = await asyncio.to_thread(_tokens, request.prompts, self._completing.tokenizer)
        return [
            Wish(
                tokens=tokens,
                limit=DEFAULT_TOKENS if request.max_tokens is None else request.max_tokens,
                echo=bool(request.echo),
                top=request.logprobs,
                stops=request.stops,
                temperature=1 if request.temperature is None else request.temperature,
                top_p=1 if request.top_p is None else request.top_p,
                seed=request.seed,
            )
            for tokens in prompts
        ]

    def _chunk(self, event: Event, request: CompletionRequest) -> CompletionChoice:
        if isinstance(event, Ended):
            return CompletionChoice(index=event.prompt, text="", logprobs=None, finish_reason=event.reason)
        return self._wrote(event, request)

    def _wrote(self, event: Wrote, request: CompletionRequest) -> CompletionChoice:
        logprobs = self._logprobs(event.part.tokens, request)
        return CompletionChoice(
            index=event.prompt, text=event.part.text, logprobs=logprobs, finish_reason=None
        )

    def _logprobs(self, tokens: Sequence[Placed], request: CompletionRequest) -> Logprobs | None:
        if request.logprobs is None:
            return None
        tokenizer = self._completing.tokenizer
        return Logprobs(
            tokens=[spelled(each.scored.token, tokenizer) for each in tokens],
            token_logprobs=[each.scored.log_probability for each in tokens],
            top_logprobs=[_top(each, tokenizer) for each in tokens],
            text_offset=[each.offset for each in tokens],
        )

    def _response(self, id_: str, choices: list[CompletionChoice]) -> Completion:
        return Completion(id=id_, created=int(time.time()), model=self._completing.model, choices=choices)


def _top(placed: Placed, tokenizer: Tokenizer) -> dict[str, float] | None:
    """The most probable tokens and the one that stands there, whether or not it is one of them."""
    token, log_probability, top = placed.scored
    if log_probability is None:
        return None
    return {spelled(each, tokenizer): value for each, value in (*top, (token, log_probability))}


def _tokens(prompts: Sequence[str | list[int]], tokenizer: Tokenizer) -> list[list[int]]:
    """The tokens of each prompt, at least one."""
    made = [tokenizer.ours(prompt) if isinstance(prompt, str) else prompt for prompt in prompts]
    for tokens in made:
        if not tokens:
            raise _invalid("must not be empty")
        if max(tokens) >= tokenizer.vocabulary:
            raise _invalid("has a token that the model does not know")
    return made


def _invalid(detail: str) -> InvalidQuestion:
    return InvalidQuestion(f"prompt: {detail}.", errors=[InvalidField(pointer="/prompt", detail=detail)])


def _new_id() -> str:
    return f"cmpl-{uuid.uuid4().hex}"
