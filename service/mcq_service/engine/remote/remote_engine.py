"""The engine that is another server: vLLM, llama-server, or any with OpenAI's /v1/completions and log-probabilities.

The letters' log-probabilities are read from those of the most probable next tokens. A letter that is not among them
gets a value one nat below the lowest of them: its true value is lower, but the server does not say how low. Text is
written greedily, as local engines do, and the connection closes at the end of the line.

Control tokens in a client's text are escaped; see `escaping`.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from mcq_service.engine.errors import EngineFailed, EngineRefused, TooManyChoices
from mcq_service.engine.remote.escaping import escape_control_tokens
from mcq_service.engine.text_engine import Tokens
from mcq_service.prompts import in_prompt_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from mcq_service.engine.remote.openai_client import OpenAIClient, Usage
    from mcq_service.engine.text_engine import Share
    from mcq_service.prompts import Opening, Prompt
    from mcq_service.yaml_output import Line

TOP_COUNTS = (100, 20, 5)
"""Numbers of most probable tokens to ask for; the first that the server accepts is used."""
FLOOR_NATS = 1.0
MAX_SCORED_AT_ONCE = 32
"""The most texts that one replica lets the server score at once; further ones wait.

A request may have 800 texts and each takes a connection, so without a limit a few requests use up the files that the
process may open, and it can't accept clients or probes. More texts at once would not be answered earlier: they would
wait in the server. Streams don't count: admission bounds them (`max_batch_size`), and they would make scores wait for
a reasoning.
"""
_SCORED_AT_ONCE_BY_ONE_REQUEST = MAX_SCORED_AT_ONCE // 2  # so that others need not wait for all of its texts
_BYTES_PER_TOKEN = 3  # a low estimate, so that the bound holds for most texts
_SPACES = str.maketrans({"▁": " ", "Ġ": " "})  # how some servers show a token's space


class RemoteText:
    """A text on another server, which gets all of it with each request. See Text."""

    def __init__(
        self, client: OpenAIClient, turns: asyncio.Semaphore, *, model: str, top: int, text: str
    ) -> None:
        """Start with `text`; each scoring takes one of the `turns` and asks for the `top` most probable tokens."""
        self.tokens = Tokens()
        self.started_at: float | None = None
        self._client = client
        self._turns = turns
        self._model = model
        self._top = top
        self._text = text

    async def score_labels(self, labels: Sequence[str]) -> list[float]:
        """See Text. Raises EngineFailed if no letter is among the most probable tokens."""
        scores, _ = await self.score_labels_and_mass(labels)
        return scores

    async def score_labels_and_mass(self, labels: Sequence[str]) -> tuple[list[float], float]:
        """See Text. Labels that are not among the most probable tokens have no share of the mass."""
        async with self._turns:
            completion = await self._client.complete(self._body(max_tokens=1, logprobs=self._top))
        self._count_prompt(completion.usage, written=self.tokens.completion)
        top = {token.translate(_SPACES): value for token, value in completion.top.items()}
        if not any(f" {label}" in top for label in labels):
            raise EngineFailed(
                f"The engine at {self._client.name} has none of the letters among its {len(top)} most probable "
                "tokens: it gives no log-probabilities, or its model does not follow the prompt."
            )
        floor = min(top.values()) - FLOOR_NATS
        mass = sum(math.exp(min(0.0, top[f" {label}"])) for label in labels if f" {label}" in top)
        return [top.get(f" {label}", floor) for label in labels], min(1.0, mass)

    def force(self, text: str) -> None:
        """See Text."""
        self._text += text

    async def write(self, line: Line, *, limit: int) -> AsyncIterator[str]:
        """See Text. Counts the server's tokens, or the chunks if the line ends before the server's usage comes."""
        before, start = self.tokens.completion, len(self._text)
        try:
            async with aclosing(self._client.stream(self._body(max_tokens=limit, stop=["\n"]))) as chunks:
                async for chunk in chunks:
                    if chunk.usage:
                        self._count_prompt(chunk.usage, written=before)
                        self.tokens.completion = before + chunk.usage.completion_tokens
                    elif chunk.text:
                        self.tokens.completion += 1
                    if kept := line.feed(chunk.text):
                        self._text += kept
                        yield kept
                    if line.closed:
                        return
        finally:
            # The model may spell a control token, over several chunks.
            self._text = self._text[:start] + escape_control_tokens(self._text[start:])

    def _body(self, **parameters: Any) -> dict[str, Any]:
        if self.started_at is None:
            self.started_at = time.monotonic()
        return {"model": self._model, "prompt": self._text, "temperature": 0, **parameters}

    def _count_prompt(self, usage: Usage | None, *, written: int) -> None:
        """Take the prompt's tokens from the first usage; it counts those `written` before as part of the prompt."""
        if usage is not None and self.tokens.prompt == 0:
            self.tokens.prompt = max(1, usage.prompt_tokens - written)
            self.tokens.cached = min(usage.cached, self.tokens.prompt)


class RemoteTextEngine:
    """Opens texts on another server. See TextEngine."""

    def __init__(self, client: OpenAIClient, *, model: str, top: int) -> None:
        """See `connect`."""
        self._client = client
        self._turns = asyncio.Semaphore(MAX_SCORED_AT_ONCE)
        self._top = top
        self.model = model
        self.name = f"openai ({client.name})"
        # The escaped openings of a batch's prompts, while the batch has them.
        self._openings: WeakKeyDictionary[Opening, str] = WeakKeyDictionary()

    async def encode(self, prompt: Prompt, *, room: int) -> RemotePrompt:
        """See TextEngine. Only the server's response shows that a prompt is too long."""
        return await in_prompt_thread(self._encode, prompt)

    def text(self, text: str) -> RemoteText:
        """Return a text that begins with `text`, as the server gets it."""
        return RemoteText(self._client, self._turns, model=self.model, top=self._top, text=text)

    def labels(self, count: int) -> list[str]:
        """See TextEngine. A server gives the log-probabilities of a few tokens only."""
        if count > len(ascii_uppercase):
            raise TooManyChoices(
                f"{count} choices are too many for this engine: the limit is {len(ascii_uppercase)}."
            )
        return list(ascii_uppercase[:count])

    @contextmanager
    def keep_openings(self, prompts: Iterable[Prompt], share: Share) -> Iterator[None]:
        """See TextEngine. The server's prefix cache keeps them."""
        yield

    async def encode_shared(self, prompts: Sequence[Prompt]) -> RemoteSharedPrompts:
        """See TextEngine. Only the server's response shows that a prompt is too long."""
        return await in_prompt_thread(self._encode_shared, prompts)

    def shared_size(self, size: int, count: int) -> int:
        """See TextEngine."""
        return size * count

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._client.close()

    def _encode(self, prompt: Prompt) -> RemotePrompt:
        text = self._escaped_stem(prompt) + _escaped_rest(prompt)
        return RemotePrompt(self.text(text), size=_estimate_tokens(len(text.encode())))

    def _encode_shared(self, prompts: Sequence[Prompt]) -> RemoteSharedPrompts:
        stem, rests = self._escaped_stem(prompts[0]), [_escaped_rest(each) for each in prompts]
        stem_bytes = len(stem.encode())
        size = sum(_estimate_tokens(stem_bytes + len(rest.encode())) for rest in rests)
        return RemoteSharedPrompts(self, stem, rests, size)

    def _escaped_stem(self, prompt: Prompt) -> str:
        """Return the prompt as the server gets it, up to the end of its stem."""
        opening = self._escaped_opening(prompt.opening) if prompt.opening else ""
        return f"{prompt.prefix}{opening}{escape_control_tokens(prompt.stem)}"

    def _escaped_opening(self, opening: Opening) -> str:
        if (escaped := self._openings.get(opening)) is None:
            escaped = "".join(
                span.text if span.trusted else escape_control_tokens(span.text) for span in opening.spans
            )
            self._openings[opening] = escaped
        return escaped


@dataclass(frozen=True)
class RemotePrompt:
    """A prompt that is sent as text; its size is estimated from its bytes. See EncodedPrompt."""

    text: RemoteText
    size: int
    opening_size = 0  # the other server keeps it

    @contextmanager
    def open(self, share: Share) -> Iterator[RemoteText]:
        """See EncodedPrompt."""
        yield self.text


@dataclass(frozen=True)
class RemoteSharedPrompts:
    """Prompts that are sent one by one; the server's prefix cache shares their stem. See SharedPrompts.

    A prompt is put together when it is sent: all of them together may have 800 times the stem.
    """

    engine: RemoteTextEngine
    stem: str
    rests: Sequence[str]
    size: int
    opening_size = 0  # the other server keeps it

    @contextmanager
    def open(self, share: Share) -> Iterator[RemoteSharedTexts]:
        """See SharedPrompts."""
        yield RemoteSharedTexts(self)


class RemoteSharedTexts:
    """See SharedTexts."""

    def __init__(self, prompts: RemoteSharedPrompts) -> None:
        """Start before the first score."""
        self.stem = Tokens()
        self.tokens = Tokens()
        self._prompts = prompts
        self._first: RemoteText | None = None
        self._turns = asyncio.Semaphore(_SCORED_AT_ONCE_BY_ONE_REQUEST)

    @property
    def started_at(self) -> float | None:
        """See SharedTexts."""
        return None if self._first is None else self._first.started_at

    async def read_stem(self) -> None:
        """See SharedTexts."""

    async def score_labels(self, index: int, labels: Sequence[str]) -> list[float]:
        """See SharedTexts."""
        async with self._turns:
            text = self._prompts.engine.text(self._prompts.stem + self._prompts.rests[index])
            self._first = self._first or text
            scores = await text.score_labels(labels)
        self.tokens.prompt += text.tokens.prompt
        self.tokens.cached += text.tokens.cached
        return scores


async def connect(client: OpenAIClient, *, model: str | None) -> RemoteTextEngine:
    """Find out which model the server has, unless `model` names it, and how many log-probabilities it gives.

    Raises EngineFailed, or EngineRefused (permanent). The message may quote the server, which has no client's text.
    """
    try:
        return await _connect(client, model)
    except EngineFailed as error:
        if not error.server_message:
            raise
        raise type(error)(f"{error} It says: {error.server_message}") from None


async def _connect(client: OpenAIClient, model: str | None) -> RemoteTextEngine:
    served = await client.models() if model is None else [model]
    if len(served) != 1:
        raise EngineRefused(
            f"The engine at {client.name} serves {len(served)} models; name one with MCQ_OPENAI_MODEL."
        )
    body = {"model": served[0], "prompt": "1, 2,", "max_tokens": 1, "temperature": 0}
    for top in TOP_COUNTS:
        try:
            completion = await client.complete({**body, "logprobs": top})
            break
        except EngineRefused:
            if top == TOP_COUNTS[-1]:
                raise
    if not completion.top:
        raise EngineRefused(f"The engine at {client.name} gives no log-probabilities.")
    return RemoteTextEngine(client, model=served[0], top=top)


def _estimate_tokens(size: int) -> int:
    """Estimate the tokens of a text of `size` bytes."""
    return size // _BYTES_PER_TOKEN + 1


def _escaped_rest(prompt: Prompt) -> str:
    """Return what follows the stem, as the server gets it."""
    return f"{escape_control_tokens(prompt.choices)}{prompt.suffix}"
