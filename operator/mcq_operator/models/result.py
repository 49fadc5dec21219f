"""The result of an exam as the service writes it into the exam's ConfigMap: what the operator reads of it."""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, ValidationError

from .base import Manifest

SUFFIX = ".json"

# Whoever may write ConfigMaps may write a result, and what is read of it becomes part of a status.
Ratio = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Text = Annotated[str, StringConstraints(max_length=4096)]


class Accuracy(BaseModel):
    """The share of right answers, and its 95 % interval."""

    right: Count
    total: Count
    value: Ratio
    ci95: tuple[Ratio, Ratio]


class CalibrationError(BaseModel):
    """The expected calibration error."""

    value: Ratio


class Figures(BaseModel):
    """What the questions say together."""

    accuracy: Accuracy
    ece: CalibrationError


class Latency(BaseModel):
    """Milliseconds."""

    p95_ms: float = Field(ge=0, allow_inf_nan=False)


class Judged(BaseModel):
    """What became of one limit."""

    outcome: Text
    detail: Text


class Verdict(BaseModel):
    """Whether the result is good enough."""

    outcome: Literal["Passed", "Failed", "Inconclusive"]
    limits: list[Judged]


class ExamResult(BaseModel):
    """The result of one sitting."""

    created: AwareDatetime
    model: Text
    model_digest: Text | None
    precision: Text | None
    prompt_digest: Text | None
    exams: dict[Text, Text]
    figures: Figures
    latency: Latency
    verdict: Verdict | None
    shards: Count
    unanswered: Count
    parts: Annotated[list[Text], Field(max_length=64)] = []
    """The digest of each shard's questions and answers."""


class Statement(BaseModel):
    """What a Pod states of what it wrote, in its termination message: the digests of its part, and of the result."""

    part: Text
    result: Text | None


class Sitting(NamedTuple):
    """A result, the Job that it is of, and the digest of its text."""

    name: str
    result: ExamResult
    digest: str


def sittings(results: Manifest | None) -> list[Sitting]:
    """Every result that an exam's ConfigMap has, and that can be read."""
    found = []
    for key, text in (results or {}).get("data", {}).items():
        if key.endswith(SUFFIX):
            try:
                result = ExamResult.model_validate_json(text)
            except ValidationError:
                continue
            digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
            found.append(Sitting(key.removesuffix(SUFFIX), result, digest))
    return found


def newest(kept: Iterable[Sitting]) -> Sitting | None:
    """The last one."""
    return max(kept, key=lambda sitting: sitting.result.created, default=None)
