"""Completions in OpenAI's form: requests to wishes, events to responses."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcq_service.api.openai.completion_schemas import Completion, CompletionChoice, Logprobs
from mcq_service.api.problems import InvalidField, InvalidQuestion
from mcq_service.openai import limits
from mcq_service.openai.generation import Ended, Wish
from mcq_service.openai.responses import array, spelled, usage, with_fields

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from mcq_service.api.openai.completion_schemas import CompletionRequest
    from mcq_service.engine import Tokenizer, Tokens
    from mcq_service.openai.detokenizer import Placed
    from mcq_service.openai.generation import Completing, Event, Wrote

DEFAULT_TOKENS = 16


@dataclass
class _Gathered:
    """What has become of one prompt so far."""

    text: str = ""
    tokens: list[Placed] = field(default_factory=list)


class Completions:
    """The use case behind /v1/completions."""

    def __init__(self, completing: Completing) -> None:
        """On the engine that `completing` has."""
        self._completing = completing

    async def whole(self, request: CompletionRequest) -> str:
        """All prompts' texts, a Completion as JSON. Raises a ProblemError."""
        wishes = await self._wishes(request)
        gathered = [_Gathered() for _ in wishes]
        choices = [""] * len(wishes)
        counts: list[Tokens] = []
        async with aclosing(self._completing.run("completion", wishes)) as events:
            async for event in events:
                each = gathered[event.prompt]
                if isinstance(event, Ended):
                    counts.append(event.tokens)
                    # Each by itself, and in a thread: it may have 100,000 log-probabilities.
                    choices[event.prompt] = await asyncio.to_thread(self._choice, event, each, request)
                    gathered[event.prompt] = _Gathered()
                else:
                    each.text += event.part.text
                    each.tokens += event.part.tokens
        response = self._response(_new_id(), []).model_copy(update={"usage": usage(counts)})
        return with_fields(response, choices=array(choices))

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
        limit = DEFAULT_TOKENS if request.max_tokens is None else request.max_tokens
        prompts: list[list[int]] = []
        for prompt in request.prompts:
            # One by one, so that whoever has a short text need not wait until all of them are tokenised.
            prompts.append(await asyncio.to_thread(_tokens, prompt, self._completing.tokenizer))
            limits.check_tokens(sum(map(len, prompts)), name="prompt")
        return [
            Wish(
                tokens=tokens,
                limit=limit,
                echo=bool(request.echo),
                top=request.logprobs,
                stops=request.stops,
                temperature=1 if request.temperature is None else request.temperature,
                top_p=1 if request.top_p is None else request.top_p,
                seed=request.seed,
            )
            for tokens in prompts
        ]

    def _choice(self, ended: Ended, gathered: _Gathered, request: CompletionRequest) -> str:
        """What became of one prompt, as JSON."""
        return CompletionChoice(
            index=ended.prompt,
            text=gathered.text,
            logprobs=self._logprobs(gathered.tokens, request),
            finish_reason=ended.reason,
        ).model_dump_json()

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


def _tokens(prompt: str | list[int], tokenizer: Tokenizer) -> list[int]:
    """The tokens of a prompt, at least one."""
    tokens = tokenizer.ours(prompt) if isinstance(prompt, str) else prompt
    if not tokens:
        raise _invalid("must not be empty")
    if max(tokens) >= tokenizer.vocabulary:
        raise _invalid("has a token that the model does not know")
    return tokens


def _invalid(detail: str) -> InvalidQuestion:
    return InvalidQuestion(f"prompt: {detail}.", errors=[InvalidField(pointer="/prompt", detail=detail)])


def _new_id() -> str:
    return f"cmpl-{uuid.uuid4().hex}"
