"""What the service is and offers, for a program that is about to ask it questions."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from mcq_service.api.mcq.schemas import Mode


class Identity(BaseModel):
    """Which model answers, and by which prompt: results of exams are compared by it."""

    uri: str = Field(description="The model's address.")
    revision: str | None = Field(description="Its commit; null where another server has the model.")
    digest: str | None = Field(description="SHA-256 of its source files; null where another server has it.")
    precision: str | None = Field(
        description="The number format it computes in; null where another server does."
    )
    prompt_digest: str = Field(description="SHA-256 of the prompt's constant parts.")


class SatExam(BaseModel):
    """The last exam of this solver's replicas."""

    name: str
    accuracy: float = Field(ge=0, le=1, description="The share of its questions that were answered right.")
    ci95: tuple[float, float] = Field(description="The ends of its 95 % interval (Wilson).")
    count: int = Field(ge=1, description="Questions that were answered.")
    sat: datetime = Field(description="When the last one was.")


class Service(BaseModel):
    """The model, the modes and the limits of this replica, and whether it answers yet."""

    model_config = ConfigDict(protected_namespaces=())

    model: str | None = Field(description="The name that responses carry; null until the model is loaded.")
    identity: Identity | None = Field(default=None, description="Null until the model is loaded.")
    exam: SatExam | None = Field(default=None, description="Null where none was sat, or nobody tells of it.")
    modes: list[Mode]
    default_mode: Mode | None = Field(
        description="The mode of a question that names none; null until the model is loaded."
    )
    max_choices: int
    max_reasoning_tokens: int = Field(description="The most that a question may ask for.")
    trace_url: str | None = Field(
        description="Where a trace can be looked at, with {trace_id} in place of its id; null where not configured."
    )
    ready: bool = Field(description="Whether new questions are answered.")
    status: str = Field(description="fetching, converting, loading, warming, ready, draining or failed.")
    detail: str = Field(description="The status, for a person.")
    progress: float | None = Field(ge=0, le=1, description="How far within the status; null where unknown.")
