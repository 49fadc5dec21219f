"""Chat completions in OpenAI's form: conversations to wishes, events to responses."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING

from mcq_service.api.openai.chat_schemas import (
    ChatChoice,
    ChatCompletion,
    ChatLogprobs,
    ChatToken,
    Chunk,
    ChunkChoice,
    Delta,
    Reply,
    TopToken,
)
from mcq_service.openai.generation import Ended, Wish
from mcq_service.openai.responses import array, spelled, usage, with_fields
from mcq_service.prompts import Turn, conversation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from mcq_service.api.openai.chat_schemas import ChatRequest
    from mcq_service.engine import Tokenizer
    from mcq_service.openai.detokenizer import Placed
    from mcq_service.openai.generation import Completing, Event


class Chats:
    """The use case behind /v1/chat/completions."""

    def __init__(self, completing: Completing) -> None:
        """On the engine that `completing` has."""
        self._completing = completing

    async def whole(self, request: ChatRequest) -> str:
        """The next turn, a ChatCompletion as JSON. Raises a ProblemError."""
        text = ""
        tokens: list[Placed] = []
        async with aclosing(self._completing.run("chat", [await self._wish(request)])) as events:
            async for event in events:
                if isinstance(event, Ended):
                    ended = event
                else:
                    text += event.part.text
                    tokens += event.part.tokens
        choice = ChatChoice(message=Reply(content=text), logprobs=None, finish_reason=ended.reason)
        response = ChatCompletion(
            id=_new_id(), created=int(time.time()), model=self._completing.model, choices=[],
            usage=usage([ended.tokens]),
        )  # fmt: skip
        # In a thread: it may have 100,000 log-probabilities.
        logprobs = await asyncio.to_thread(self._logprobs_json, tokens, request)
        return with_fields(response, choices=array([with_fields(choice, logprobs=logprobs)]))

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk]:
        """The next turn in chunks; the last one, where it is wanted, has the usage. Raises a ProblemError."""
        id_, counts = _new_id(), []
        first = Delta(role="assistant", content="")
        async with aclosing(self._completing.run("chat", [await self._wish(request)])) as events:
            async for event in events:
                if first.role:
                    # With the first token, not before: what fails until then is a plain error.
                    yield self._chunk(id_, ChunkChoice(delta=first))
                    first = Delta()
                if isinstance(event, Ended):
                    counts.append(event.tokens)
                yield self._chunk(id_, self._choice(event, request))
        if request.wants_usage:
            yield self._chunk(id_, None).model_copy(update={"usage": usage(counts)})

    async def _wish(self, request: ChatRequest) -> Wish:
        turns = [
            Turn("system" if message.role == "developer" else message.role, message.text)
            for message in request.messages
        ]
        # In a thread of its own: a long text takes the tokenizer a while.
        tokens = await asyncio.to_thread(self._completing.tokenizer.spans, list(conversation(turns)))
        return Wish(
            tokens=tokens,
            limit=request.limit,
            top=(request.top_logprobs or 0) if request.logprobs else None,
            stops=request.stops,
            temperature=1 if request.temperature is None else request.temperature,
            top_p=1 if request.top_p is None else request.top_p,
            seed=request.seed,
        )

    def _choice(self, event: Event, request: ChatRequest) -> ChunkChoice:
        if isinstance(event, Ended):
            return ChunkChoice(delta=Delta(), finish_reason=event.reason)
        logprobs = self._logprobs(event.part.tokens, request)
        return ChunkChoice(delta=Delta(content=event.part.text), logprobs=logprobs)

    def _logprobs_json(self, tokens: Iterable[Placed], request: ChatRequest) -> str:
        """The JSON of `_logprobs`, token by token: the objects of all of them would be a hundred megabytes."""
        if not request.logprobs:
            return "null"
        content = array(_token(each, self._completing.tokenizer).model_dump_json() for each in tokens)
        return f'{{"content":{content}}}'

    def _logprobs(self, tokens: Iterable[Placed], request: ChatRequest) -> ChatLogprobs | None:
        if not request.logprobs:
            return None
        return ChatLogprobs(content=[_token(each, self._completing.tokenizer) for each in tokens])

    def _chunk(self, id_: str, choice: ChunkChoice | None) -> Chunk:
        choices = [choice] if choice else []
        return Chunk(id=id_, created=int(time.time()), model=self._completing.model, choices=choices)


def _token(placed: Placed, tokenizer: Tokenizer) -> ChatToken:
    token, log_probability, top = placed.scored
    assert log_probability is not None, "it was asked for"  # noqa: S101
    return ChatToken(
        **_top(token, log_probability, tokenizer).model_dump(),
        top_logprobs=[_top(each, value, tokenizer) for each, value in top],
    )


def _top(token: int, log_probability: float, tokenizer: Tokenizer) -> TopToken:
    return TopToken(
        token=spelled(token, tokenizer), logprob=log_probability, bytes=list(tokenizer.spelling(token))
    )


def _new_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"
