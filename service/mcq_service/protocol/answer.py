"""The structured answer."""

from __future__ import annotations

from pydantic import BaseModel, Field

from mcq_service.protocol.problem import Problem
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


class Decision(BaseModel):
    """The choice and a probability for every choice; they sum to 1."""

    id: str
    model: str
    mode: Mode
    answer: Choice | None = Field(description="Null where the service abstained.")
    confidence: float = Field(ge=0, le=1, description="The most probable label's probability.")
    margin: float = Field(ge=0, le=1, description="What it is ahead of the second.")
    abstained: bool = Field(description="Whether the confidence is below the minimum asked for.")
    probabilities: list[LabelProbability] = Field(description="In the order of the choices.")
    trace_id: str | None = Field(description="The request's trace, where it is traced.")


class Answer(Decision):
    """The decision, the reasoning, and what they took."""

    reasoning: str | None = Field(description="One line; null in mode answer.")
    usage: Usage
    timings: Timings


class ReasoningDelta(BaseModel):
    """The next part of the reasoning."""

    delta: str


class Result(BaseModel):
    """What became of one question of a batch: an answer, or a problem."""

    index: int = Field(ge=0, description="Its position among the questions, from 0.")
    answer: Answer | None = None
    problem: Problem | None = None


class Results(BaseModel):
    """One result for each question of a batch, in their order."""

    results: list[Result]
