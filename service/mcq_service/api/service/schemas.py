"""The response of GET /api/v1/service: the model, the limits, the last exam."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from mcq_service.api.mcq.question_schemas import Mode


class Identity(BaseModel):
    """The model and the prompt that answer. Exams compare results by it."""

    uri: str = Field(description="The model's address.")
    revision: str | None = Field(description="Its commit; null if another server has the model.")
    digest: str | None = Field(
        description="SHA-256 of its source files; null if another server has the model."
    )
    precision: str | None = Field(
        description="The number format it computes in; null if another server computes."
    )
    prompt_digest: str = Field(description="SHA-256 of the prompt's constant parts.")


class LastExam(BaseModel):
    """The last exam of this solver's replicas."""

    name: str
    accuracy: float = Field(ge=0, le=1, description="The share of its questions with a correct answer.")
    ci95: tuple[float, float] = Field(description="The ends of its 95 % interval (Wilson).")
    count: int = Field(ge=1, description="Questions that were answered.")
    sat: datetime = Field(description="When its last question was answered.")


class Version(BaseModel):
    """The service's version."""

    version: str


class Service(BaseModel):
    """The model, the modes and the limits of this replica, and whether it is ready."""

    model: str | None = Field(description="The name in responses; null until the model is loaded.")
    identity: Identity | None = Field(default=None, description="Null until the model is loaded.")
    exam: LastExam | None = Field(
        default=None, description="Null if there was none, or no operator reports it."
    )
    modes: list[Mode]
    default_mode: Mode | None = Field(
        description="The mode of a question that names none; null until the model is loaded."
    )
    max_choices: int = Field(description="The most choices with a letter each; a list may be longer.")
    max_reasoning_tokens: int = Field(description="The most that a question may ask for.")
    trace_url: str | None = Field(
        description="The address of a trace, with {trace_id} in place of its id; null if not configured."
    )
    ready: bool = Field(description="Whether new questions are answered.")
    status: str = Field(description="fetching, converting, loading, warming, ready, draining or failed.")
    detail: str = Field(description="The status, for a person.")
    progress: float | None = Field(ge=0, le=1, description="Progress within the status; null if unknown.")
