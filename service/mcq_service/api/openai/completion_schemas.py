"""POST /v1/completions: continue a prompt, as in OpenAI's API from before chat completions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from mcq_service.api.openai.schemas import (
    MAX_LOGPROBS,
    FinishReason,
    SamplingParameters,
    Text,
    Unsupported,
    Usage,
)

MAX_PROMPTS = 256

_Token = Annotated[int, Field(ge=0, lt=2**31)]
_Tokens = Annotated[list[_Token], Field(min_length=1, fail_fast=True)]
_Prompts = Field(min_length=1, max_length=MAX_PROMPTS)


def _form(prompt: Any) -> str:
    if not isinstance(prompt, list):
        return "string"
    first = prompt[0] if prompt else ""
    return "arrays" if isinstance(first, list) else "strings" if isinstance(first, str) else "tokens"


class CompletionRequest(SamplingParameters):
    """One or several prompts, and how to continue them."""

    prompt: Annotated[
        Annotated[Text, Tag("string")]
        | Annotated[list[Text], _Prompts, Tag("strings")]
        | Annotated[_Tokens, Tag("tokens")]
        | Annotated[list[_Tokens], _Prompts, Tag("arrays")],
        Discriminator(_form),
    ] = Field(
        description="A text, its tokens, or a list of either. Control tokens in a text, such as <|im_end|>, take "
        "effect; in a chat they do not."
    )
    max_tokens: int | None = Field(default=None, ge=0, lt=2**31, description="Default 16; 0 writes nothing.")
    echo: bool | None = Field(default=None, description="The text begins with the prompt.")
    logprobs: int | None = Field(
        default=None,
        ge=0,
        le=MAX_LOGPROBS,
        description="The log-probability of each token, and of this many most probable ones at its position.",
    )
    best_of: Annotated[Any, Unsupported(1)] = None
    suffix: Annotated[Any, Unsupported("")] = None

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts, as a list."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt


class Logprobs(BaseModel):
    """One entry for each token; the first token of a prompt has no probability.

    `text_offset` counts characters from the beginning of the text.
    """

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class CompletionChoice(BaseModel):
    """The text for one prompt, or its next part."""

    index: int
    text: str
    logprobs: Logprobs | None
    finish_reason: FinishReason | None


class Completion(BaseModel):
    """The texts for all prompts, or a chunk of a stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int = Field(description="Seconds since the epoch.")
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None
