"""Completions in OpenAI's form: prompts to generation requests, events to responses."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcq_service.api.openai.completion_schemas import Completion, CompletionChoice, Logprobs
from mcq_service.api.problems import InvalidField, InvalidQuestion
from mcq_service.openai import request_limits
from mcq_service.openai.generation import Finished, GenerationRequest
from mcq_service.openai.responses import json_array, json_with_fields, response_head, token_text, total_usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from mcq_service.api.openai.completion_schemas import CompletionRequest
    from mcq_service.engine import Tokenizer, Tokens
    from mcq_service.openai.detokenizer import PositionedToken
    from mcq_service.openai.generation import Event, Generation

DEFAULT_TOKENS = 16


@dataclass
class _Collected:
    """The text of one prompt so far."""

    text: str = ""
    tokens: list[PositionedToken] = field(default_factory=list)


class Completions:
    """The use case behind /v1/completions."""

    def __init__(self, generation: Generation) -> None:
        """Generate text with `generation`."""
        self._generation = generation

    async def complete(self, request: CompletionRequest) -> str:
        """Continue all prompts; return a Completion as JSON. Raises like `Generation.run`."""
        requests = await self._generation_requests(request)
        collected = [_Collected() for _ in requests]
        choices = [""] * len(requests)
        counts: dict[int, Tokens] = {}
        async with aclosing(self._generation.run("completion", requests)) as events:
            async for event in events:
                each = collected[event.prompt]
                if isinstance(event, Finished):
                    counts[event.prompt] = event.tokens
                    # One by one, and in a thread: a prompt may have 100,000 log-probabilities.
                    choices[event.prompt] = await asyncio.to_thread(self._choice_json, event, each, request)
                    collected[event.prompt] = _Collected()
                else:
                    each.text += event.piece.text
                    each.tokens += event.piece.tokens
        head = response_head("cmpl", self._generation.model)
        response = Completion(**head, choices=[], usage=total_usage(counts, texts=request.count))
        return json_with_fields(response, choices=json_array(choices))

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Completion]:
        """Continue all prompts in chunks; the last has the usage, if asked for. Raises like `Generation.run`."""
        head = response_head("cmpl", self._generation.model)
        counts: dict[int, Tokens] = {}
        requests = await self._generation_requests(request)
        async with aclosing(self._generation.run("completion", requests)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    counts[event.prompt] = event.tokens
                yield Completion(**head, choices=[self._chunk(event, request)])
        if request.wants_usage:
            yield Completion(**head, choices=[], usage=total_usage(counts, texts=request.count))

    async def _generation_requests(self, request: CompletionRequest) -> list[GenerationRequest]:
        limit = DEFAULT_TOKENS if request.max_tokens is None else request.max_tokens
        prompts: list[list[int]] = []
        for prompt in request.prompts:
            # One by one, so that other requests can tokenise short texts in between.
            prompts.append(await self._generation.encode(_tokens, prompt, self._generation.tokenizer))
            request_limits.check_tokens(sum(map(len, prompts)), name="prompt")
        return [
            GenerationRequest(
                tokens=tokens,
                limit=limit,
                echo=bool(request.echo),
                top=request.logprobs,
                stops=request.stops,
                temperature=1 if request.temperature is None else request.temperature,
                top_p=1 if request.top_p is None else request.top_p,
                seed=request.seed_of(text),
            )
            for tokens in prompts
            for text in range(request.count)
        ]

    def _choice_json(self, finished: Finished, collected: _Collected, request: CompletionRequest) -> str:
        """Return one prompt's choice as JSON."""
        return CompletionChoice(
            index=finished.prompt,
            text=collected.text,
            logprobs=self._logprobs(collected.tokens, request),
            finish_reason=finished.reason,
        ).model_dump_json()

    def _chunk(self, event: Event, request: CompletionRequest) -> CompletionChoice:
        if isinstance(event, Finished):
            return CompletionChoice(index=event.prompt, text="", logprobs=None, finish_reason=event.reason)
        logprobs = self._logprobs(event.piece.tokens, request)
        return CompletionChoice(
            index=event.prompt, text=event.piece.text, logprobs=logprobs, finish_reason=None
        )

    def _logprobs(self, tokens: Sequence[PositionedToken], request: CompletionRequest) -> Logprobs | None:
        if request.logprobs is None:
            return None
        tokenizer = self._generation.tokenizer
        return Logprobs(
            tokens=[token_text(each.scored.token, tokenizer) for each in tokens],
            token_logprobs=[each.scored.log_probability for each in tokens],
            top_logprobs=[_top(each, tokenizer) for each in tokens],
            text_offset=[each.offset for each in tokens],
        )


def _top(positioned: PositionedToken, tokenizer: Tokenizer) -> dict[str, float] | None:
    """Return the most probable tokens and the token itself, even if it is not one of them."""
    token, log_probability, top = positioned.scored
    if log_probability is None:
        return None
    return {token_text(each, tokenizer): value for each, value in (*top, (token, log_probability))}


def _tokens(prompt: str | list[int], tokenizer: Tokenizer) -> list[int]:
    """Return the tokens of a prompt, at least one. Raises InvalidQuestion."""
    tokens = tokenizer.encode_text(prompt) if isinstance(prompt, str) else prompt
    if not tokens:
        raise _invalid("must not be empty")
    if max(tokens) >= tokenizer.vocabulary:
        raise _invalid("has a token that the model does not know")
    return tokens


def _invalid(detail: str) -> InvalidQuestion:
    return InvalidQuestion(f"prompt: {detail}.", errors=[InvalidField(pointer="/prompt", detail=detail)])
