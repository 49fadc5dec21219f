"""Chat completions in OpenAI's form: conversations to generation requests, events to responses."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from mcq_service.api.openai.chat_schemas import (
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatLogprobs,
    ChatToken,
    ChunkChoice,
    Delta,
    Reply,
    TopToken,
)
from mcq_service.openai.generation import Finished, GenerationRequest
from mcq_service.openai.responses import json_array, json_with_fields, response_head, token_text, total_usage
from mcq_service.prompts import Turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from mcq_service.api.openai.chat_schemas import ChatRequest
    from mcq_service.engine import Tokenizer, Tokens
    from mcq_service.openai.detokenizer import PositionedToken
    from mcq_service.openai.generation import Event, Generation


class ChatCompletions:
    """The use case behind /v1/chat/completions."""

    def __init__(self, generation: Generation) -> None:
        """Generate text with `generation`."""
        self._generation = generation

    async def complete(self, request: ChatRequest) -> str:
        """Write the next turn; return a ChatCompletion as JSON. Raises like `Generation.run`."""
        texts = [""] * request.count
        tokens: list[list[PositionedToken]] = [[] for _ in texts]
        choices = list(texts)
        counts: dict[int, Tokens] = {}
        requests = await self._generation_requests(request)
        async with aclosing(self._generation.run("chat", requests)) as events:
            async for event in events:
                index = event.prompt
                if isinstance(event, Finished):
                    counts[index] = event.tokens
                    reply = Reply(content=texts[index])
                    choice = ChatChoice(index=index, message=reply, logprobs=None, finish_reason=event.reason)
                    # In a thread: there may be 100,000 log-probabilities.
                    logprobs = await asyncio.to_thread(self._logprobs_json, tokens[index], request)
                    choices[index] = json_with_fields(choice, logprobs=logprobs)
                else:
                    texts[index] += event.piece.text
                    tokens[index] += event.piece.tokens
        head = response_head("chatcmpl", self._generation.model)
        response = ChatCompletion(**head, choices=[], usage=total_usage(counts, texts=request.count))
        return json_with_fields(response, choices=json_array(choices))

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk]:
        """Write the next turn in chunks; the last has the usage, if asked for. Raises like `Generation.run`."""
        head = response_head("chatcmpl", self._generation.model)
        counts: dict[int, Tokens] = {}
        begun: set[int] = set()
        requests = await self._generation_requests(request)
        async with aclosing(self._generation.run("chat", requests)) as events:
            async for event in events:
                if event.prompt not in begun:
                    # With the first token, not earlier: a failure before it is a plain error response.
                    begun.add(event.prompt)
                    first = Delta(role="assistant", content="")
                    yield ChatChunk(**head, choices=[ChunkChoice(index=event.prompt, delta=first)])
                if isinstance(event, Finished):
                    counts[event.prompt] = event.tokens
                yield ChatChunk(**head, choices=[self._choice(event, request)])
        if request.wants_usage:
            yield ChatChunk(**head, choices=[], usage=total_usage(counts, texts=request.count))

    async def _generation_requests(self, request: ChatRequest) -> list[GenerationRequest]:
        tokens = await self._generation.encode(self._encode, request)
        schema = request.json_schema
        grammar = None if schema is None else await self._generation.grammar(schema)
        return [
            GenerationRequest(
                tokens=tokens,
                limit=request.limit,
                top=(request.top_logprobs or 0) if request.logprobs else None,
                stops=request.stops,
                temperature=1 if request.temperature is None else request.temperature,
                top_p=1 if request.top_p is None else request.top_p,
                seed=request.seed_of(text),
                grammar=grammar.copy() if grammar else None,
            )
            for text in range(request.count)
        ]

    def _encode(self, request: ChatRequest) -> list[int]:
        turns = [
            Turn("system" if message.role == "developer" else message.role, message.text)
            for message in request.messages
        ]
        spans = list(self._generation.chat_template.spans(turns))
        return self._generation.tokenizer.encode_spans(spans)

    def _choice(self, event: Event, request: ChatRequest) -> ChunkChoice:
        if isinstance(event, Finished):
            return ChunkChoice(index=event.prompt, delta=Delta(), finish_reason=event.reason)
        logprobs = self._logprobs(event.piece.tokens, request)
        return ChunkChoice(index=event.prompt, delta=Delta(content=event.piece.text), logprobs=logprobs)

    def _logprobs_json(self, tokens: Iterable[PositionedToken], request: ChatRequest) -> str:
        """Return the JSON of `_logprobs`, token by token: all objects at once would take a hundred megabytes."""
        if not request.logprobs:
            return "null"
        content = json_array(_token(each, self._generation.tokenizer).model_dump_json() for each in tokens)
        return f'{{"content":{content}}}'

    def _logprobs(self, tokens: Iterable[PositionedToken], request: ChatRequest) -> ChatLogprobs | None:
        if not request.logprobs:
            return None
        return ChatLogprobs(content=[_token(each, self._generation.tokenizer) for each in tokens])


def _token(positioned: PositionedToken, tokenizer: Tokenizer) -> ChatToken:
    token, log_probability, top = positioned.scored
    assert log_probability is not None, "the request asked for it"
    chosen, *likely = [
        TopToken(token=token_text(each, tokenizer), logprob=value, bytes=list(tokenizer.token_bytes(each)))
        for each, value in ((token, log_probability), *top)
    ]
    return ChatToken(**chosen.model_dump(), top_logprobs=likely)
