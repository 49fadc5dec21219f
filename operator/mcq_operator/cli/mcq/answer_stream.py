"""The events of an answer, as docs/api.md describes them."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.resolver import ThreadedResolver
from pydantic import BaseModel, Field

from mcq_operator.client.transport import read_at_most

from .errors import CommandError

PATH = "/api/v1/mcq/answer"
EVENTS = "text/event-stream"
CONNECT_SECONDS = 10
SILENT_SECONDS = 300.0
"""How long the service may send nothing: it answers within its own deadline, or sends a problem."""
LONGEST_ERROR = 2**16
LONGEST_QUOTE = 500


class Choice(BaseModel):
    """The chosen choice."""

    label: str
    text: str


class LabelProbability(BaseModel):
    """The probability of one choice."""

    label: str
    probability: float = Field(ge=0, le=1)


class Decision(BaseModel):
    """The event `answer`, without the fields that are not shown."""

    model: str
    answer: Choice | None
    confidence: float
    probabilities: list[LabelProbability]


class Reasoning(BaseModel):
    """The event `reasoning`."""

    delta: str


class Timings(BaseModel):
    """Milliseconds."""

    answer_ms: float
    total_ms: float


class Escalation(BaseModel):
    """The model that was asked first, before the other solver answered."""

    first_model: str
    first_confidence: float


class Answer(Decision):
    """The event `done`. The raw document has every field."""

    escalation: Escalation | None = None

    timings: Timings
    raw: dict[str, Any]


Event = Decision | Reasoning | Answer


class ProblemError(CommandError):
    """The service's problem (RFC 9457), or another error response."""

    def __init__(self, detail: str, *, kind: str = "") -> None:
        """Store the problem's type; empty if it has none."""
        super().__init__(detail)
        self.kind = kind


@asynccontextmanager
async def post(
    url: str, question: dict[str, Any], *, key: str | None
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send a question to the service at this address. Raises CommandError."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    connector = aiohttp.TCPConnector(resolver=_Resolver())
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.post(url.rstrip("/") + PATH, json=question, headers=headers) as response,
        ):
            yield response
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        message = f"{url} could not be asked: {str(error) or type(error).__name__}"
        raise CommandError(message) from error


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    """Yield the events of a response until the answer is complete. Raises CommandError, ProblemError."""
    if response.status != 200 or response.content_type != EVENTS:
        body = await read_at_most(LONGEST_ERROR, response.content, PATH)
        raise _error(response, body.decode(errors="replace"))
    name = ""
    try:
        async for line in response.content:
            field, _, value = line.decode().strip().partition(":")
            if field == "event":
                name = value.strip()
            elif field == "data" and (event := _event(name, json.loads(value))) is not None:
                yield event
                if isinstance(event, Answer):
                    return
    except (HttpProcessingError, ValueError, TypeError, KeyError, RecursionError) as error:
        message = f"the service's answer can't be read: {error}"
        raise CommandError(message) from error
    message = "the service ended the answer before it was complete"
    raise CommandError(message)


def _event(name: str, document: Any) -> Event | None:
    match name:
        case "answer":
            return Decision.model_validate(document)
        case "reasoning":
            return Reasoning.model_validate(document)
        case "done":
            return Answer.model_validate({**document, "raw": document})
        case "problem":
            raise ProblemError(_detail(document), kind=document["type"])
    return None


def _error(response: aiohttp.ClientResponse, body: str) -> CommandError:
    """Return the error that the response describes: the service's problem, or the API server's status."""
    try:
        document = json.loads(body)
        return ProblemError(_detail(document), kind=document.get("type", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        quote = body[:LONGEST_QUOTE]
        return CommandError(
            f"{response.url} answered with {response.status}, {response.content_type}: {quote}"
        )


def _detail(document: Any) -> str:
    return str(document["detail"] if "detail" in document else document["message"])


class _Resolver(ThreadedResolver):
    """Resolves *.localhost to this machine, as browsers and curl do: the system's resolver may not know it."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve a host name."""
        return await super().resolve("localhost" if host.endswith(".localhost") else host, port, family)
