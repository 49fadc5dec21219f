"""The structured answer."""

from __future__ import annotations

from pydantic import BaseModel, Field

from mcq_service.protocol.question import Mode


class Choice(BaseModel):
    """The choice that was made."""

    label: str = Field(description="One of the labels offered.")
    index: int = Field(ge=0, description="Its position among the choices, from 0.")
    text: str


class LabelProbability(BaseModel):
    """How probable the model holds one choice."""

    label: str
    probability: float = Field(ge=0, le=1)


class Usage(BaseModel):
    """Tokens the model read and wrote."""

    prompt_tokens: int = Field(description="Tokens of the whole prompt.")
    completion_tokens: int = Field(description="Tokens that the model chose itself.")
    cached_tokens: int = Field(description="Prompt tokens that were not computed anew.")


class Timings(BaseModel):
    """Milliseconds."""

    queue_ms: float = Field(description="From admission to the first computation.")
    answer_ms: float = Field(description="From admission to the probabilities.")
    total_ms: float = Field(description="From admission to the end.")


class Answer(BaseModel):
    """The choice, a probability for every choice (they sum to 1), and the reasoning."""

    id: str
    model: str
    mode: Mode
    answer: Choice
    confidence: float = Field(ge=0, le=1, description="The chosen label's probability.")
    margin: float = Field(ge=0, le=1, description="What it is ahead of the second.")
    probabilities: list[LabelProbability] = Field(description="In the order of the choices.")
    reasoning: str | None = Field(description="One line; null in mode answer.")
    usage: Usage
    timings: Timings
    trace_id: str | None = Field(description="The request's trace, where it is traced.")
