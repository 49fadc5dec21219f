"""Responses of /api/v1/mcq: a decision, an answer, and the results of a batch."""

from __future__ import annotations

from pydantic import BaseModel, Field

from mcq_service.api.mcq.question_schemas import Mode
from mcq_service.api.problems import Problem
from mcq_service.api.schema_rules import is_none


class Choice(BaseModel):
    """The selected choice."""

    label: str = Field(description="One of the labels offered.")
    index: int = Field(ge=0, description="Its index among the choices, from 0.")
    text: str


class NoneOfThese(BaseModel):
    """The choice "None of these", if the question offered it."""

    label: str = Field(description="Its label, the last in `probabilities`.")
    probability: float = Field(ge=0, le=1)
    selected: bool = Field(
        description="Whether it is the answer; then `answer` is null without an abstention."
    )
    label_mass: float = Field(
        ge=0,
        le=1,
        description="The probability that the model's next token is any of the labels, before debiasing. A low one "
        "means that it would rather say something else.",
    )


class Escalated(BaseModel):
    """Why another solver answered: the model that was asked first, and how sure it was."""

    answered_by: str = Field(description="The address of the solver that answered; `model` is its model.")
    first_model: str = Field(description="The model that was asked first.")
    first_label: str | None = Field(description="Its most probable label; null with select all.")
    first_confidence: float = Field(ge=0, le=1, description="Its confidence, below the requested minimum.")


class LabelProbability(BaseModel):
    """The probability of one choice, according to the model."""

    label: str
    probability: float = Field(ge=0, le=1)


class Usage(BaseModel):
    """Tokens that the model read and wrote."""

    prompt_tokens: int = Field(description="Tokens of the whole prompt.")
    completion_tokens: int = Field(description="Tokens that the model chose itself.")
    cached_tokens: int = Field(description="Prompt tokens that came from the prefix cache.")

    def __add__(self, other: Usage) -> Usage:
        """Return the tokens of both."""
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
        )


class Timings(BaseModel):
    """Durations in milliseconds."""

    queue_ms: float = Field(description="From admission to the first computation.")
    answer_ms: float = Field(description="From admission to the probabilities.")
    total_ms: float = Field(description="From admission to the end.")


class Decision(BaseModel):
    """The choice and a probability for every choice; they sum to 1 unless all are judged by themselves."""

    id: str
    model: str
    mode: Mode
    answer: Choice | None = Field(description="Null if the service abstained, and with select all.")
    selected: list[Choice] | None = Field(
        default=None,
        exclude_if=is_none,
        description="With select all: the choices that are more probably right than wrong; empty if the service "
        "abstained. Otherwise absent.",
    )
    confidence: float = Field(
        ge=0,
        le=1,
        description="The most probable label's probability; with select all, that of the least certain judgement.",
    )
    margin: float = Field(ge=0, le=1, description="The lead over the second most probable label.")
    abstained: bool = Field(description="Whether the confidence is below the requested minimum.")
    probabilities: list[LabelProbability] = Field(description="In the order of the choices.")
    none_of_these: NoneOfThese | None = Field(
        default=None, exclude_if=is_none, description="Absent unless the question asked for it."
    )
    escalation: Escalated | None = Field(
        default=None, exclude_if=is_none, description="Absent unless another solver answered."
    )
    trace_id: str | None = Field(description="The request's trace, if it is traced.")


class Answer(Decision):
    """The decision, the reasoning, and their tokens and times."""

    reasoning: str | None = Field(description="One line; null in mode answer.")
    output: str | None = Field(
        default=None,
        exclude_if=is_none,
        description="The answer and the reasoning in the `response_format` of the question; absent without one.",
    )
    usage: Usage
    timings: Timings


class ReasoningDelta(BaseModel):
    """The next part of the reasoning."""

    delta: str


class Result(BaseModel):
    """The result of one question of a batch: an answer or a problem."""

    index: int = Field(ge=0, description="Its index among the questions, from 0.")
    answer: Answer | None = None
    problem: Problem | None = None


class Results(BaseModel):
    """One result for each question of a batch, in order."""

    results: list[Result]
