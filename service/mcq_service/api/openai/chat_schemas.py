"""POST /v1/chat/completions: the next turn of a conversation."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mcq_service.api.openai.schemas import (
    MAX_LOGPROBS,
    FinishReason,
    SamplingParameters,
    Text,
    TextOr,
    Unsupported,
    Usage,
)
from mcq_service.api.schema_rules import LenientModel, is_none

MAX_MESSAGES = 512
MAX_PARTS = 512
MAX_SCHEMA_CHARACTERS = 65_536
SCHEMA_POINTER = "/response_format/json_schema/schema"


class TextPart(LenientModel):
    """A part of a message; only text is supported."""

    type: Literal["text"]
    text: Text


class Message(LenientModel):
    """One turn; its content never becomes a control token."""

    role: Literal["system", "developer", "user", "assistant"]
    content: TextOr[Annotated[list[TextPart], Field(max_length=MAX_PARTS)]]
    tool_calls: Annotated[Any, Unsupported([])] = None

    @property
    def text(self) -> str:
        """The content, with its parts joined."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class TextFormat(LenientModel):
    """Any text, the default."""

    type: Literal["text"]


class AnyJSONFormat(LenientModel):
    """A JSON object."""

    type: Literal["json_object"]


class NamedSchema(LenientModel):
    """A JSON Schema. `strict` makes no difference: every text follows the schema."""

    name: str = Field(min_length=1, max_length=64)
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None

    @field_validator("schema_")
    @classmethod
    def _is_short(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(value)) > MAX_SCHEMA_CHARACTERS:
            raise PydanticCustomError(
                "schema", f"has more than {MAX_SCHEMA_CHARACTERS} characters: make it smaller"
            )
        return value


class JSONSchemaFormat(LenientModel):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[TextFormat | AnyJSONFormat | JSONSchemaFormat, Field(discriminator="type")]


class ChatRequest(SamplingParameters):
    """A conversation; the model writes its next turn."""

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_tokens: int | None = Field(
        default=None, ge=1, lt=2**31, description="Default: as many as the context has room for."
    )
    max_completion_tokens: int | None = Field(
        default=None, ge=1, lt=2**31, description="The newer name of max_tokens."
    )
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=MAX_LOGPROBS, description="Needs logprobs: true.")
    response_format: ResponseFormat | None = None
    tools: Annotated[Any, Unsupported([])] = None
    tool_choice: Annotated[Any, Unsupported("none")] = None
    functions: Annotated[Any, Unsupported([])] = None
    function_call: Annotated[Any, Unsupported("none")] = None

    @model_validator(mode="after")
    def _top_needs_logprobs(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise PydanticCustomError("top_logprobs", "top_logprobs needs logprobs: true")
        return self

    @property
    def json_schema(self) -> dict[str, Any] | None:
        """The schema that the turn must follow; None for any text."""
        match self.response_format:
            case JSONSchemaFormat(json_schema=named):
                return named.schema_
            case AnyJSONFormat():
                return {"type": "object"}
        return None

    @property
    def limit(self) -> int | None:
        """The largest number of tokens to write; None if not set."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


class TopToken(BaseModel):
    """A candidate token; `bytes` are its UTF-8 text."""

    token: str
    logprob: float
    bytes: list[int]


class ChatToken(TopToken):
    """A token of the text, and the most probable ones at its position."""

    top_logprobs: list[TopToken]


class ChatLogprobs(BaseModel):
    """One entry for each token."""

    content: list[ChatToken]


class Reply(BaseModel):
    """The model's turn."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(BaseModel):
    """One of the texts."""

    index: int
    message: Reply
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason


class ChatCompletion(BaseModel):
    """A whole response."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Seconds since the epoch.")
    model: str
    choices: list[ChatChoice]
    usage: Usage


class Delta(BaseModel):
    """The new part of the turn."""

    role: Literal["assistant"] | None = Field(default=None, exclude_if=is_none)
    content: str | None = Field(default=None, exclude_if=is_none)


class ChunkChoice(BaseModel):
    """The next part of one of the texts."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None = None
    finish_reason: FinishReason | None = None


class ChatChunk(BaseModel):
    """One event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
