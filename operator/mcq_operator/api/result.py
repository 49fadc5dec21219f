"""An exam's result, which the service writes into the exam's ConfigMap: the fields that the operator reads."""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, ValidationError

from .base import Manifest
from .exam_status import MAX_SHARDS

SUFFIX = ".json"

# Anyone with write access to ConfigMaps may write a result, and its values become part of a status: bound them.
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


class CoveragePoint(BaseModel):
    """The answers with at least a minimum confidence: their share, their accuracy, and its interval."""

    min_confidence: Ratio
    coverage: Ratio
    accuracy: Ratio
    interval: tuple[Ratio, Ratio]


class Figures(BaseModel):
    """The figures over all questions. An older release of the service has no curve."""

    accuracy: Accuracy
    ece: CalibrationError
    risk_coverage: Annotated[list[CoveragePoint], Field(max_length=20)] = []


class Latency(BaseModel):
    """Answer times, in milliseconds."""

    p95_ms: float = Field(ge=0, allow_inf_nan=False)


class LimitVerdict(BaseModel):
    """The verdict on one limit."""

    outcome: Text
    detail: Text


class Verdict(BaseModel):
    """The verdict on the result: its outcome over all limits."""

    outcome: Literal["Passed", "Failed", "Inconclusive"]
    limits: list[LimitVerdict]


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
    shards: Annotated[int, Field(ge=0, le=MAX_SHARDS)]
    unanswered: Count
    parts: Annotated[list[Text], Field(max_length=MAX_SHARDS)] = []
    """The digest of each shard's questions and answers."""


class Statement(BaseModel):
    """A Pod's termination message: the digests of the part and of the result that it wrote."""

    part: Text
    result: Text | None


class Sitting(NamedTuple):
    """A result, the name of its Job, and the digest of its text."""

    name: str
    result: ExamResult
    digest: str


def sittings(results: Manifest | None) -> list[Sitting]:
    """Return every readable result in an exam's ConfigMap."""
    readable = []
    for key, text in (results or {}).get("data", {}).items():
        if key.endswith(SUFFIX):
            try:
                result = ExamResult.model_validate_json(text)
            except ValidationError:
                continue
            digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
            readable.append(Sitting(key.removesuffix(SUFFIX), result, digest))
    return readable


def newest(candidates: Iterable[Sitting]) -> Sitting | None:
    """Return the newest sitting, or None if there is none."""
    return max(candidates, key=lambda sitting: sitting.result.created, default=None)
