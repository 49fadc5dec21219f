"""Schemas that completions and chat completions share, and those of /v1/models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    Tag,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from mcq_service.api.schema_rules import LenientModel, text_kind

MAX_LOGPROBS = 20
MAX_STOPS = 16
MAX_N = 16
MAX_STOP_CHARACTERS = 200
MAX_TEXT_CHARACTERS = 200_000
"""Characters of one prompt or message: more than any context has room for."""
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARACTERS)]
Items = TypeVar("Items")
TextOr = Annotated[Annotated[Text, Tag("string")] | Annotated[Items, Tag("array")], Discriminator(text_kind)]
"""A text, or a list in its place."""

FinishReason = Literal["stop", "length"]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=MAX_STOP_CHARACTERS)]


@dataclass(frozen=True)
class Unsupported:
    """Marks an unsupported parameter: it may be absent, null, or have its neutral value."""

    neutral: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """See pydantic."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """See pydantic."""
        return {"enum": [None, self.neutral]}

    def _check(self, value: Any) -> Any:
        if value is None or (
            value == self.neutral and isinstance(value, bool) == isinstance(self.neutral, bool)
        ):
            return value
        raise PydanticCustomError("unsupported", "is not supported by this service")


class StreamOptions(LenientModel):
    """Options of a stream."""

    include_usage: bool | None = Field(default=None, description="A last chunk has the usage.")


class SamplingParameters(LenientModel):
    """Parameters of both kinds of requests."""

    model: str | None = Field(default=None, description="The name in /v1/models; any other is refused.")
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Default 1; 0 takes the most probable."
    )
    top_p: float | None = Field(default=None, ge=0, le=1, description="Default 1.")
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: (
        Annotated[
            Annotated[Stop, Tag("string")] | Annotated[list[Stop], Field(max_length=MAX_STOPS), Tag("array")],
            Discriminator(text_kind),
        ]
        | None
    ) = Field(default=None, description="Up to 16; the text ends before the first match.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(
        default=None,
        ge=1,
        le=MAX_N,
        description="Texts for each prompt; default 1. A seed gives each its own.",
    )
    frequency_penalty: Annotated[Any, Unsupported(0)] = None
    presence_penalty: Annotated[Any, Unsupported(0)] = None
    logit_bias: Annotated[Any, Unsupported({})] = None

    @property
    def stops(self) -> list[str]:
        """The stop sequences."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def count(self) -> int:
        """The number of texts for each prompt."""
        return self.n or 1

    def seed_of(self, text: int) -> int | None:
        """Return the seed of one of the texts for a prompt."""
        return None if self.seed is None else self.seed + text

    @property
    def wants_usage(self) -> bool:
        """True if a stream ends with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


class CachedTokens(BaseModel):
    """Details of the prompt's tokens."""

    cached_tokens: int


class Usage(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class Model(BaseModel):
    """A served model."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Seconds since the epoch.")
    owned_by: str
    max_model_len: int | None = Field(
        description="The largest number of tokens of prompt and answer, if known."
    )


class TypeSafeModel(BaseModel):
    """A served model, in the form of TypeSafe's clients."""

    name: str
    description: str
    release_date: str = Field(description="The day since when this replica serves it, as YYYY-MM-DD.")


class Models(BaseModel):
    """The list of the one served model, for the clients of OpenAI (`data`) and of TypeSafe (`models`)."""

    object: Literal["list"] = "list"
    data: list[Model]
    models: list[TypeSafeModel]


class ErrorBody(BaseModel):
    """Why a request was refused; `param` is the field with the error."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    """OpenAI's form of an error."""

    error: ErrorBody
