"""The engine that is another server: vLLM, llama-server, anything with OpenAI's /v1/completions and log-probabilities.

The letters' log-probabilities are among those of the most probable next tokens. A letter that is not gets a value one
nat below the least of these: it has less, and how much less the server does not say. Text is written greedily, as
local engines do, and the connection is closed with the line.

A client's text is changed where it would become a control token; see `neutral`.
"""

from __future__ import annotations

import time
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcq_service.engine.remote.escaping import neutral
from mcq_service.engine.remote.openai_client import EngineRefused
from mcq_service.engine.text_engine import EngineFailed, Tokens
from mcq_service.runtime.task_group import gather

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from mcq_service.engine.remote.openai_client import Client, Usage
    from mcq_service.engine.text_engine import Share
    from mcq_service.prompts import Prompt
    from mcq_service.yaml_output import Line

TOPS = (100, 20, 5)
"""How many of the most probable tokens are asked for: the first of these that the server gives."""
FLOOR_NATS = 1.0
_BYTES_A_TOKEN = 3  # few enough for a bound that holds with most texts
_SPACES = str.maketrans({"▁": " ", "Ġ": " "})  # as some servers show a token's space


class RemoteText:
    """A text on another server, which gets the whole of it with each request. See Text."""

    def __init__(self, client: Client, *, model: str, top: int, text: str) -> None:
        """`top` most probable tokens are asked for."""
        self.tokens = Tokens()
        self.begun: float | None = None
        self._client = client
        self._model = model
        self._top = top
        self._text = text

    async def letters(self, labels: Sequence[str]) -> list[float]:
        """See Text. Raises EngineFailed where none of the letters is among the most probable tokens."""
        answer = await self._client.complete(self._body(max_tokens=1, logprobs=self._top))
        self._count(answer.usage)
        top = {token.translate(_SPACES): value for token, value in answer.top.items()}
        if not any(f" {label}" in top for label in labels):
            raise EngineFailed(
                f"The engine at {self._client.name} has none of the letters among its {len(top)} most probable "  # noqa: EM102
                "tokens: it gives no log-probabilities, or its model does not follow the prompt."
            )
        floor = min(top.values()) - FLOOR_NATS
        return [top.get(f" {label}", floor) for label in labels]

    def force(self, text: str) -> None:
        """See Text."""
        self._text += text

    async def write(self, line: Line, *, limit: int) -> AsyncIterator[str]:
        """See Text. Tokens are the server's count, or, where the line ended before the server did, the chunks."""
        before = self.tokens.completion
        async with aclosing(self._client.stream(self._body(max_tokens=limit, stop=["\n"]))) as chunks:
            async for chunk in chunks:
                if chunk.usage:
                    self._count(chunk.usage)
                    self.tokens.completion = before + chunk.usage.completion_tokens
                elif chunk.text:
                    self.tokens.completion += 1
                if kept := line.feed(chunk.text):
                    self._text += kept
                    yield kept
                if line.closed:
                    return

    def _body(self, **wanted: Any) -> dict[str, Any]:
        if self.begun is None:
            self.begun = time.monotonic()
        return {"model": self._model, "prompt": self._text, "temperature": 0, **wanted}

    def _count(self, usage: Usage | None) -> None:
        """The prompt's tokens, from the first answer that has them."""
        if usage is not None and self.tokens.prompt == 0:
            self.tokens.prompt = max(1, usage.prompt_tokens - self.tokens.completion)
            self.tokens.cached = min(usage.cached, self.tokens.prompt)


class RemoteTexts:
    """Opens texts on another server. See Texts."""

    def __init__(self, client: Client, *, model: str, top: int) -> None:
        """See `connect`."""
        self._client = client
        self._top = top
        self.model = model

    @property
    def name(self) -> str:
        """The kind of engine, with where it is."""
        return f"openai ({self._client.name})"

    async def encode(self, prompt: Prompt, *, room: int) -> RemotePrompt:
        """See Texts; that a prompt is too long is known when the server is asked."""
        text = _text(prompt)
        return RemotePrompt(
            RemoteText(self._client, model=self.model, top=self._top, text=text), size=_size(text)
        )

    async def score(
        self, prompts: Sequence[Prompt], labels: Sequence[str], *, share: Share
    ) -> tuple[list[list[float]], Tokens]:
        """See Texts: a request for each; what they share is the server's prefix cache's matter."""
        texts = [
            RemoteText(self._client, model=self.model, top=self._top, text=_text(each)) for each in prompts
        ]
        scores = await gather(text.letters(labels) for text in texts)
        prompt, cached = sum(text.tokens.prompt for text in texts), sum(text.tokens.cached for text in texts)
        return scores, Tokens(prompt=prompt, cached=cached)

    def score_size(self, size: int, count: int) -> int:
        """See Texts."""
        return size * count

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._client.close()


@dataclass(frozen=True)
class RemotePrompt:
    """A prompt that is sent as text; its size is a guess, from the bytes. See Encoded."""

    text: RemoteText
    size: int

    @contextmanager
    def open(self, share: Share) -> Iterator[RemoteText]:
        """See Encoded."""
        yield self.text


async def connect(client: Client, *, model: str | None) -> RemoteTexts:
    """Find out what the server serves, if that is not said, and how many log-probabilities it gives.

    Raises EngineFailed, of which EngineRefused does not pass by itself, or Overloaded; with the server's own words, as
    no client's text was sent.
    """
    try:
        return await _connect(client, model)
    except EngineFailed as error:
        if not error.said:
            raise
        msg = f"{error} It says: {error.said}"
        raise type(error)(msg) from None


async def _connect(client: Client, model: str | None) -> RemoteTexts:
    served = await client.models() if model is None else [model]
    if len(served) != 1:
        msg = f"The engine at {client.name} serves {len(served)} models; say which one is meant: MCQ_OPENAI_MODEL."
        raise EngineRefused(msg)
    body = {"model": served[0], "prompt": "1, 2,", "max_tokens": 1, "temperature": 0}
    for top in TOPS:
        try:
            answer = await client.complete({**body, "logprobs": top})
        except EngineRefused:
            if top == TOPS[-1]:
                raise
        else:
            if not answer.top:
                raise EngineRefused(f"The engine at {client.name} gives no log-probabilities.")  # noqa: EM102
            return RemoteTexts(client, model=served[0], top=top)
    raise AssertionError


def _size(text: str) -> int:
    return len(text.encode()) // _BYTES_A_TOKEN + 1


def _text(prompt: Prompt) -> str:
    return f"{prompt.prefix}{neutral(prompt.stem)}{neutral(prompt.choices)}{prompt.suffix}"
