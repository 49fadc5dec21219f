"""HTTP to an OpenAI-compatible server: what is asked, what comes back, and everything that may go wrong between.

EngineFailed         it can't be reached, fails, or answers what can't be read
└── EngineRefused    it does not take our requests: the key, the model or a parameter; asking again does not help

Its own error messages may quote a client's text, so they are neither logged nor passed on; see `EngineFailed.said`.
"""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
from opentelemetry import propagate
from pydantic import BaseModel, ValidationError

from mcq_service.api.problems import Overloaded
from mcq_service.engine.text_engine import EngineFailed, PromptTooLong

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

T = TypeVar("T", bound=BaseModel)

CONNECT_SECONDS = 5.0
_ATTEMPTS = 2
# Nothing came back: the server did not begin to answer, or an idle connection was closed under the request.
_UNANSWERED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.RemoteProtocolError, httpx2.ReadError)
_TOO_LONG = re.compile(r"context|too long|max_model_len")
_SAID = 300  # characters
_EVENT = "data:"
_LAST_EVENT = "[DONE]"


class EngineRefused(EngineFailed):
    """The engine does not take our requests, and will not take them later."""


class _Served(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Served]


class _Cached(BaseModel):
    cached_tokens: int | None = None


class Usage(BaseModel):
    """Tokens as the server counts them."""

    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _Cached | None = None

    @property
    def cached(self) -> int:
        """Of the prompt; 0 where the server does not say."""
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0


class _Top(BaseModel):
    token: str
    logprob: float


class _Place(BaseModel):
    top_logprobs: list[_Top]


class _Logprobs(BaseModel):
    """vLLM has OpenAI's older form (a map a token), llama-server the one of chats (a list a token)."""

    top_logprobs: list[dict[str, float] | None] | None = None
    content: list[_Place] | None = None


class _Choice(BaseModel):
    text: str = ""
    logprobs: _Logprobs | None = None


class Completion(BaseModel):
    """A completion, or a chunk of one; the last chunk may have no choices."""

    choices: list[_Choice]
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """What was written."""
        return self.choices[0].text if self.choices else ""

    @property
    def top(self) -> dict[str, float]:
        """The log-probabilities of the most probable first tokens; empty where the server gives none."""
        logprobs = self.choices[0].logprobs if self.choices else None
        if logprobs is None:
            return {}
        if logprobs.content:
            return {each.token: each.logprob for each in logprobs.content[0].top_logprobs}
        return (logprobs.top_logprobs or [None])[0] or {}


class Client:
    """One OpenAI-compatible server."""

    def __init__(self, endpoint: str, *, key_file: Path | None, timeout_seconds: float) -> None:
        """`endpoint` is with or without /v1 at its end; the key is read anew for each request, so it can be changed.

        `timeout_seconds` is how long the server may be silent.
        """
        base = endpoint.rstrip("/").removesuffix("/v1")
        self.name = str(httpx2.URL(base).copy_with(username=None, password=None, query=None))
        self._http = httpx2.AsyncClient(
            base_url=f"{base}/v1",
            timeout=httpx2.Timeout(timeout_seconds, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None),  # admission says how many
        )
        self._key_file = key_file

    async def models(self) -> list[str]:
        """The names of the models it serves. Raises EngineFailed."""
        async with self._send("GET", "/models", None) as response:
            return [each.id for each in (await self._read(response, _Models)).data]

    async def complete(self, body: dict[str, Any]) -> Completion:
        """Complete a prompt. Raises EngineFailed, PromptTooLong or Overloaded."""
        async with self._send("POST", "/completions", body) as response:
            return await self._read(response, Completion)

    async def stream(self, body: dict[str, Any]) -> AsyncGenerator[Completion]:
        """The chunks of a completion; leaving the iterator ends the server's work. Raises as `complete`."""
        body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        async with self._send("POST", "/completions", body) as response:
            try:
                async for line in response.aiter_lines():
                    data = line.removeprefix(_EVENT).strip() if line.startswith(_EVENT) else ""
                    if data == _LAST_EVENT:
                        return
                    if data:
                        yield self._parse(data, Completion)
            except httpx2.HTTPError as error:
                raise self._failed(error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @asynccontextmanager
    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> AsyncIterator[httpx2.Response]:
        """The response, once its status is known to be good."""
        response = await self._answer(method, path, body)
        try:
            if response.status_code != httpx2.codes.OK:
                raise await self._refusal(response)
            yield response
        finally:
            await response.aclose()

    async def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> httpx2.Response:
        for attempt in range(1, _ATTEMPTS + 1):
            request = self._http.build_request(method, path, json=body, headers=self._headers())
            try:
                return await self._http.send(request, stream=True)
            except _UNANSWERED as error:
                if attempt == _ATTEMPTS:
                    raise self._failed(error) from error
            except httpx2.HTTPError as error:
                raise self._failed(error) from error
        raise AssertionError

    def _headers(self) -> dict[str, str]:
        """The key, and the trace that the request is part of."""
        headers: dict[str, str] = {}
        propagate.inject(headers)
        if self._key_file is None:
            return headers
        try:
            return {**headers, "Authorization": f"Bearer {self._key_file.read_text().strip()}"}
        except OSError as error:
            raise EngineFailed(f"The engine's API key can't be read: {error.strerror}.") from error  # noqa: EM102

    async def _read(self, response: httpx2.Response, form: type[T]) -> T:
        try:
            return self._parse(await response.aread(), form)
        except httpx2.HTTPError as error:
            raise self._failed(error) from error

    def _parse(self, data: str | bytes, form: type[T]) -> T:
        try:
            return form.model_validate_json(data)
        except ValidationError:
            # Not as its cause: what is wrong with the answer would be shown with a part of it.
            raise EngineFailed(f"The engine at {self.name} answers what can't be read.") from None  # noqa: EM102

    async def _refusal(self, response: httpx2.Response) -> Exception:
        status = response.status_code
        if status == httpx2.codes.TOO_MANY_REQUESTS:
            wait = response.headers.get("Retry-After", "")
            wait = wait if wait.isdecimal() else "1"
            return Overloaded(f"The engine is busy; try again in {wait} s.", headers={"Retry-After": wait})
        details = await self._details(response)
        if status in {400, 413, 422} and any(_TOO_LONG.search(each.lower()) for each in details.values()):
            return PromptTooLong("The engine says that prompt and answer do not fit into its context.")
        answers = f"The engine at {self.name} answers {response.request.url.path} with status {status}."
        client_error = httpx2.codes.is_client_error(status) and status != httpx2.codes.REQUEST_TIMEOUT
        failed = EngineRefused(answers) if client_error else EngineFailed(answers)
        failed.said = " ".join((details.get("message") or details.get("detail") or "").split())[:_SAID]
        return failed

    async def _details(self, response: httpx2.Response) -> dict[str, str]:
        """What an error's body says: OpenAI has an object `error`, others a text of that name, or no such level."""
        try:
            found = json.loads(await response.aread())
        except (httpx2.HTTPError, ValueError):
            return {}
        error = found.get("error", found) if isinstance(found, dict) else {}
        if isinstance(error, str):
            return {"message": error}
        names = ("code", "type", "message", "detail")
        return (
            {name: str(error[name]) for name in names if error.get(name)} if isinstance(error, dict) else {}
        )

    def _failed(self, error: httpx2.HTTPError) -> EngineFailed:
        return EngineFailed(f"The engine at {self.name} does not answer: {type(error).__name__}.")
