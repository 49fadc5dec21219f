"""POST /v1/chat/completions: the next turn of a conversation."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError

from mcq_service.api.openai.schemas import (
    MAX_LOGPROBS,
    MAX_TEXT_CHARACTERS,
    FinishReason,
    Only,
    Sampling,
    Usage,
    form,
)

MAX_MESSAGES = 512
MAX_PARTS = 512

_Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARACTERS)]


class TextPart(BaseModel):
    """A part of a message; only text is read here."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["text"]
    text: _Text


class Message(BaseModel):
    """One turn; nothing in its content can become a control token."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[_Text, Tag("string")]
        | Annotated[list[TextPart], Field(max_length=MAX_PARTS), Tag("array")],
        Discriminator(form),
    ]
    tool_calls: Annotated[Any, Only([])] = None

    @property
    def text(self) -> str:
        """The content; parts stand one after the other."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class _TextFormat(BaseModel):
    """The only format there is."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["text"]


class ChatRequest(Sampling):
    """A conversation whose next turn is asked for."""

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_tokens: int | None = Field(
        default=None, ge=1, lt=2**31, description="Default: what the context has room for."
    )
    max_completion_tokens: int | None = Field(
        default=None, ge=1, lt=2**31, description="The newer name of max_tokens."
    )
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=MAX_LOGPROBS, description="Needs logprobs: true.")
    response_format: _TextFormat | None = None
    tools: Annotated[Any, Only([])] = None
    tool_choice: Annotated[Any, Only("none")] = None
    functions: Annotated[Any, Only([])] = None
    function_call: Annotated[Any, Only("none")] = None

    @model_validator(mode="after")
    def _top_needs_logprobs(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise PydanticCustomError("top_logprobs", "top_logprobs needs logprobs: true")
        return self

    @property
    def limit(self) -> int | None:
        """The most tokens to write, where that is said."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


class TopToken(BaseModel):
    """A token that could stand in a place; `bytes` are those of its UTF-8 text."""

    token: str
    logprob: float
    bytes: list[int]


class ChatToken(TopToken):
    """The token that stands there, and the most probable ones."""

    top_logprobs: list[TopToken]


class ChatLogprobs(BaseModel):
    """One entry for each token."""

    content: list[ChatToken]


class Reply(BaseModel):
    """What the model said."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(BaseModel):
    """The turn."""

    index: Literal[0] = 0
    message: Reply
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason


class ChatCompletion(BaseModel):
    """A whole answer."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Seconds since the epoch.")
    model: str
    choices: list[ChatChoice]
    usage: Usage


def _is_none(value: str | None) -> bool:
    return value is None


class Delta(BaseModel):
    """What is new in the turn."""

    role: Literal["assistant"] | None = Field(default=None, exclude_if=_is_none)
    content: str | None = Field(default=None, exclude_if=_is_none)


class ChunkChoice(BaseModel):
    """The next part of the turn."""

    index: Literal[0] = 0
    delta: Delta
    logprobs: ChatLogprobs | None = None
    finish_reason: FinishReason | None = None


class Chunk(BaseModel):
    """One event of a stream."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
