"""POST /v1/completions: text that goes on from a prompt, as OpenAI had it before chats."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from mcq_service.api.openai.schemas import (
    MAX_LOGPROBS,
    MAX_TEXT_CHARACTERS,
    FinishReason,
    Only,
    Sampling,
    Usage,
)

MAX_PROMPTS = 256

_Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARACTERS)]
_Token = Annotated[int, Field(ge=0, lt=2**31)]
_Tokens = Annotated[list[_Token], Field(min_length=1, fail_fast=True)]
_Prompts = Field(min_length=1, max_length=MAX_PROMPTS)


def _form(prompt: Any) -> str:
    if not isinstance(prompt, list):
        return "string"
    first = prompt[0] if prompt else ""
    return "arrays" if isinstance(first, list) else "strings" if isinstance(first, str) else "tokens"


class CompletionRequest(Sampling):
    """A prompt, or several, and how each goes on."""

    prompt: Annotated[
        Annotated[_Text, Tag("string")]
        | Annotated[list[_Text], _Prompts, Tag("strings")]
        | Annotated[_Tokens, Tag("tokens")]
        | Annotated[list[_Tokens], _Prompts, Tag("arrays")],
        Discriminator(_form),
    ] = Field(
        description="A text, its tokens, or a list of either. Control tokens in a text, as <|im_end|>, are taken as "
        "such: a chat keeps its contents from being any."
    )
    max_tokens: int | None = Field(default=None, ge=0, lt=2**31, description="Default 16; 0 writes nothing.")
    echo: bool | None = Field(default=None, description="The text begins with the prompt.")
    logprobs: int | None = Field(
        default=None,
        ge=0,
        le=MAX_LOGPROBS,
        description="The log-probability of each token, of so many of the most probable ones in its place too.",
    )
    best_of: Annotated[Any, Only(1)] = None
    suffix: Annotated[Any, Only("")] = None

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts, of which there is often but one."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt


class Logprobs(BaseModel):
    """One entry for each token; the first of a prompt has no probability.

    `text_offset` are characters from the beginning of the text.
    """

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class CompletionChoice(BaseModel):
    """What became of one prompt, or the next part of it."""

    index: int
    text: str
    logprobs: Logprobs | None
    finish_reason: FinishReason | None


class Completion(BaseModel):
    """All prompts' texts, or a chunk of a stream."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int = Field(description="Seconds since the epoch.")
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None
