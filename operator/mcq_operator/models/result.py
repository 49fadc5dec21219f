"""The result of an exam as the service writes it into the exam's ConfigMap: what the operator reads of it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from .base import Manifest

SUFFIX = ".json"


class Accuracy(BaseModel):
    """The share of right answers, and its 95 % interval."""

    right: int
    total: int
    value: float
    ci95: tuple[float, float]


class CalibrationError(BaseModel):
    """The expected calibration error."""

    value: float


class Figures(BaseModel):
    """What the questions say together."""

    accuracy: Accuracy
    ece: CalibrationError


class Latency(BaseModel):
    """Milliseconds."""

    p95_ms: float


class Judged(BaseModel):
    """What became of one limit."""

    outcome: str
    detail: str


class Verdict(BaseModel):
    """Whether the result is good enough."""

    outcome: Literal["Passed", "Failed", "Inconclusive"]
    limits: list[Judged]


class ExamResult(BaseModel):
    """The result of one sitting."""

    created: datetime
    model: str
    model_digest: str | None
    precision: str | None
    prompt_digest: str | None
    exams: dict[str, str]
    figures: Figures
    latency: Latency
    verdict: Verdict | None
    shards: int
    unanswered: int


class Sitting(NamedTuple):
    """A result, and the Job that it is of."""

    name: str
    result: ExamResult


def sittings(results: Manifest | None) -> list[Sitting]:
    """Every result that an exam's ConfigMap has, and that can be read."""
    found = []
    for key, text in (results or {}).get("data", {}).items():
        if key.endswith(SUFFIX):
            try:
                found.append(Sitting(key.removesuffix(SUFFIX), ExamResult.model_validate_json(text)))
            except ValidationError:
                continue
    return found


def newest(kept: Iterable[Sitting]) -> Sitting | None:
    """The last one."""
    return max(kept, key=lambda sitting: sitting.result.created, default=None)
