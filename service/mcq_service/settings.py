"""Configuration: environment variables with the prefix MCQ_; tracing has OpenTelemetry's own (OTEL_*)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mcq_service.models import PrecisionChoice
from mcq_service.models.catalogue import DEFAULT_URI
from mcq_service.protocol import MAX_REASONING_TOKENS, Mode


class Settings(BaseSettings):
    """How one replica serves one model."""

    model_config = SettingsConfigDict(env_prefix="MCQ_", protected_namespaces=())

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    model_uri: str = DEFAULT_URI
    model_revision: str | None = None
    model_digest: str | None = None
    model_precision: PrecisionChoice = "auto"
    model_cache: Path = Path.home() / ".cache/mcq-operator/models"

    default_mode: Mode = "explain"
    max_reasoning_tokens: int = Field(default=96, ge=1, le=MAX_REASONING_TOKENS)
    context_length: int = Field(default=4096, ge=512, description="Tokens of prompt and answer together.")
    threads: int = Field(default=0, ge=0, description="0: as many as the cgroup's CPU quota.")

    max_queued_requests: int = Field(default=64, ge=1)
    max_active_requests: int = Field(default=4, ge=1, description="Requests that take turns on the model.")
    deadline_seconds: float = Field(default=60, gt=0)
    drain_seconds: float = Field(default=25, gt=0)

    @field_validator("model_revision", "model_digest", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: str | None) -> str | None:
        return value or None
