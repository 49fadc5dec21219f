"""Configuration by environment variables: MCQ_*, and OpenTelemetry's own OTEL_* for tracing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ByteSize, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mcq_service.api.mcq.question_schemas import MAX_REASONING_TOKENS, Debias, Mode
from mcq_service.model_store import InstructionSet, PrecisionChoice
from mcq_service.model_store.catalogue import DEFAULT_URI

if TYPE_CHECKING:
    from collections.abc import Sequence

_ORIGIN = re.compile(r"https?://[a-z0-9.:\[\]-]+")

EngineChoice = Literal["auto", "transformers", "cpu", "openai"]


class Settings(BaseSettings):
    """The configuration of one replica."""

    model_config = SettingsConfigDict(env_prefix="MCQ_")

    host: str = Field(
        default="127.0.0.1", description="The address to listen on; :: is every address of IPv6 and IPv4."
    )
    port: int = Field(default=8000, ge=0, le=65535)
    probe_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="A second port that clients can't overload: for /startupz, /readyz and /livez, and, instead of "
        "MCQ_PORT, for /metrics, /trafficz and /answerz. Unset: no second port.",
    )
    root_path: str = Field(
        default="",
        pattern="^((/[A-Za-z0-9._~-]+)+)?$",
        description="A path prefix that a proxy keeps, such as /mcq: all paths are also served below it.",
    )
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    api_keys_file: Path | None = Field(
        default=None, description="A file or directory of keys; unset: clients need no key."
    )

    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origins of pages that may use the service from a browser, comma-separated; *: all.",
    )

    exam_file: Path | None = Field(
        default=None, description="The file that the operator writes the last exam to; unset: none."
    )
    trace_url: str | None = Field(
        default=None, description="The address of a trace, with {trace_id} in place of its id."
    )

    engine: EngineChoice = Field(
        default="auto",
        description="auto: cpu with int8 weights, transformers with others; openai: another server.",
    )
    openai_endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        validate_default=True,
        description="With MCQ_ENGINE=openai: the other server's address, with or without /v1.",
    )
    openai_model: str | None = Field(
        default=None, description="The other server's model; unset: the only one that it serves."
    )
    openai_api_key_file: Path | None = Field(
        default=None, description="A file with the other server's API key; unset: no key."
    )

    model_uri: str = DEFAULT_URI
    model_revision: str | None = None
    model_digest: str | None = None
    model_precision: PrecisionChoice = "auto"
    model_verify: bool = Field(
        default=True,
        description="Check the prepared model's SHA-256 at each start; false: only its files' sizes.",
    )
    model_fetch_attempts: int = Field(
        default=10, ge=1, description="Attempts to reach a source that sends no data."
    )
    model_cache: Path = Path.home() / ".cache/mcq-operator/models"
    model_cache_limit: ByteSize = Field(
        default=ByteSize(20 << 30),
        validate_default=True,
        description="Size, such as 20GiB, above which models that no replica uses are deleted; 0: no limit.",
    )

    default_mode: Mode = "explain"
    max_reasoning_tokens: int = Field(default=96, ge=1, le=MAX_REASONING_TOKENS)
    min_confidence: float = Field(default=0, ge=0, le=1, description="Below it, the service abstains.")
    debias: Debias = "prior"
    escalation_endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        description="The address of another solver, asked below MCQ_MIN_CONFIDENCE; unset: the service abstains.",
    )
    escalation_api_key_file: Path | None = Field(
        default=None, description="A file with an API key for the other solver; unset: no key."
    )
    calibration: Path | None = Field(default=None, description="A file that `calibrate` wrote.")
    context_length: int = Field(default=4096, ge=512, description="Tokens of prompt and answer together.")
    threads: int = Field(
        default=0, ge=0, description="Threads of the engine; 0: one for each CPU that the process may use."
    )
    instruction_set: InstructionSet | None = Field(
        default=None, description="The int8 engine's instructions; unset: the fastest that the CPU has."
    )

    max_queued_requests: int = Field(default=64, ge=1)
    max_queued_tokens: int = Field(
        default=65_536, ge=1, description="Tokens of waiting prompts and their room for reasoning."
    )
    max_active_tokens: int = Field(default=16_384, ge=1, description="Tokens in memory for active texts.")
    max_batch_size: int = Field(default=16, ge=1, description="Requests that write reasoning at once.")
    deadline_seconds: float = Field(default=60, gt=0)
    drain_seconds: float = Field(default=25, gt=0)

    @field_validator(
        "model_revision", "model_digest", "calibration", "api_keys_file", "trace_url", "exam_file", "openai_endpoint",
        "openai_model", "openai_api_key_file", "probe_port", "instruction_set",
        "escalation_endpoint", "escalation_api_key_file", mode="before"
    )  # fmt: skip
    @classmethod
    def _empty_is_unset(cls, value: str | None) -> str | None:
        return value or None

    @field_validator("root_path", mode="before")
    @classmethod
    def _ends_without_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("probe_port")
    @classmethod
    def _is_another_port(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and value == info.data.get("port"):
            raise PydanticCustomError("port", "must differ from MCQ_PORT")
        return value

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: str | Sequence[str]) -> Sequence[str]:
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise PydanticCustomError(
                    "origin",
                    "an origin is a scheme, a host and an optional port, such as https://example.com",
                )
        return value

    @field_validator("openai_endpoint")
    @classmethod
    def _needed_by_its_engine(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("engine") == "openai":
            raise PydanticCustomError("endpoint", "MCQ_ENGINE=openai needs the address of a server")
        return value
