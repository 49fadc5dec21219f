"""An HTTP client for an OpenAI-compatible server: requests, responses and failures.

The server's error messages may quote a client's text, so they are neither logged nor passed on; see
`EngineFailed.server_message`.
"""

from __future__ import annotations

import json
import re
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from mcq_service.engine.errors import EngineBusy, EngineFailed, EngineRefused, PromptTooLong
from mcq_service.engine.remote.server_connection import KeyUnreadable, ServerConnection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

T = TypeVar("T", bound=BaseModel)

_TOO_LONG = re.compile(r"context|too long|max_model_len")
_MESSAGE_CHARACTERS = 300
_EVENT = "data:"
_LAST_EVENT = "[DONE]"


class _ServedModel(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_ServedModel]


class _Cached(BaseModel):
    cached_tokens: int | None = None


class Usage(BaseModel):
    """Tokens, as the server counts them."""

    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _Cached | None = None

    @property
    def cached(self) -> int:
        """Cached tokens of the prompt; 0 if the server does not say."""
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0


class _TopToken(BaseModel):
    token: str
    logprob: float


class _TokenPosition(BaseModel):
    top_logprobs: list[_TopToken]


class _Logprobs(BaseModel):
    """vLLM uses OpenAI's older form (a map for each token), llama-server that of chats (a list for each token)."""

    top_logprobs: list[dict[str, float] | None] | None = None
    content: list[_TokenPosition] | None = None


class _Choice(BaseModel):
    text: str = ""
    logprobs: _Logprobs | None = None


class Completion(BaseModel):
    """A completion, or a chunk of one; the last chunk may have no choices."""

    choices: list[_Choice]
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """The generated text."""
        return self.choices[0].text if self.choices else ""

    @property
    def top(self) -> dict[str, float]:
        """Log-probabilities of the most probable first tokens; empty if the server gives none."""
        logprobs = self.choices[0].logprobs if self.choices else None
        if logprobs is None:
            return {}
        if logprobs.content:
            return {each.token: each.logprob for each in logprobs.content[0].top_logprobs}
        return (logprobs.top_logprobs or [None])[0] or {}


class OpenAIClient:
    """One OpenAI-compatible server."""

    def __init__(self, endpoint: str, *, key_file: Path | None, timeout_seconds: float) -> None:
        """Prepare a client for `endpoint`, with or without /v1 at its end.

        Each request reads the key again, so the key can change. The server may be silent for `timeout_seconds`.
        """
        base = endpoint.rstrip("/").removesuffix("/v1")
        # RemoteTextEngine and admission bound the requests.
        self._server = ServerConnection(base, key_file=key_file, timeout_seconds=timeout_seconds)
        self.name = self._server.name

    async def models(self) -> list[str]:
        """Return the names of the models that the server has. Raises EngineFailed."""
        async with self._send("GET", "/models", None) as response:
            return [each.id for each in (await self._read(response, _Models)).data]

    async def complete(self, body: dict[str, Any]) -> Completion:
        """Complete a prompt. Raises EngineFailed or PromptTooLong."""
        async with self._send("POST", "/completions", body) as response:
            return await self._read(response, Completion)

    async def stream(self, body: dict[str, Any]) -> AsyncGenerator[Completion]:
        """Stream the chunks of a completion; closing the iterator stops the server. Raises like `complete`."""
        body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        async with self._send("POST", "/completions", body) as response, aclosing(_lines(response)) as lines:
            try:
                async for line in lines:
                    data = line.removeprefix(_EVENT).strip() if line.startswith(_EVENT) else ""
                    if data == _LAST_EVENT:
                        return
                    if data:
                        yield self._parse(data, Completion)
            except httpx2.HTTPError as error:
                raise self._failed(error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    @asynccontextmanager
    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request; yield the response if its status is 200, raise otherwise."""
        try:
            response = await self._server.send(method, f"/v1{path}", body)
        except httpx2.HTTPError as error:
            raise self._failed(error) from error
        except KeyUnreadable as error:
            raise EngineFailed(f"The engine's API key can't be read: {error}.") from error
        try:
            if response.status_code != httpx2.codes.OK:
                raise await self._refusal(response)
            yield response
        finally:
            await response.aclose()

    async def _read(self, response: httpx2.Response, schema: type[T]) -> T:
        try:
            return self._parse(await response.aread(), schema)
        except httpx2.HTTPError as error:
            raise self._failed(error) from error

    def _parse(self, data: str | bytes, schema: type[T]) -> T:
        try:
            return schema.model_validate_json(data)
        except ValidationError:
            # Without the cause: it quotes the response.
            raise EngineFailed(f"The engine at {self.name} sent a response that can't be read.") from None

    async def _refusal(self, response: httpx2.Response) -> Exception:
        status = response.status_code
        if status == httpx2.codes.TOO_MANY_REQUESTS:
            wait = response.headers.get("Retry-After", "")
            wait = wait if wait.isdecimal() else "1"
            return EngineBusy(f"The engine is busy; try again in {wait} s.", retry_after=wait)
        details = await self._details(response)
        if status in {400, 413, 422} and any(_TOO_LONG.search(each.lower()) for each in details.values()):
            return PromptTooLong("The engine says that prompt and answer do not fit into its context.")
        detail = f"The engine at {self.name} answers {response.request.url.path} with status {status}."
        client_error = httpx2.codes.is_client_error(status) and status != httpx2.codes.REQUEST_TIMEOUT
        error = EngineRefused(detail) if client_error else EngineFailed(detail)
        message = (details.get("message") or details.get("detail") or "").split()
        error.server_message = " ".join(message)[:_MESSAGE_CHARACTERS]
        return error

    async def _details(self, response: httpx2.Response) -> dict[str, str]:
        """Read an error's body. OpenAI sends an object `error`, other servers a text of that name, or neither."""
        try:
            body = json.loads(await response.aread())
        except (httpx2.HTTPError, ValueError):
            return {}
        error = body.get("error", body) if isinstance(body, dict) else {}
        if isinstance(error, str):
            return {"message": error}
        names = ("code", "type", "message", "detail")
        return (
            {name: str(error[name]) for name in names if error.get(name)} if isinstance(error, dict) else {}
        )

    def _failed(self, error: httpx2.HTTPError) -> EngineFailed:
        return EngineFailed(f"The engine at {self.name} does not answer: {type(error).__name__}.")


async def _lines(response: httpx2.Response) -> AsyncGenerator[str]:
    """Yield the lines of a stream, some of them empty. Only CR and LF end one: a model's text may have U+2028.

    httpx2's own lines end as those of str.splitlines do.
    """
    line: list[bytes] = []
    async with aclosing(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            for part in chunk.splitlines(keepends=True):
                line.append(part)
                if part.endswith((b"\r", b"\n")):
                    yield b"".join(line).decode(errors="replace")
                    line.clear()
    yield b"".join(line).decode(errors="replace")
