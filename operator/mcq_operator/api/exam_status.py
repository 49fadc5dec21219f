"""The status of an exam: the figures of its last result."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from .base import Model
from .resource_status import ResourceStatus

MAX_SHARDS = 64
"""The most shards of an exam. Each has a ConfigMap."""


def _bounded(shards: Any) -> Any:
    """Return the number of shards within its bounds: an earlier release stored any number of a result."""
    return max(0, min(shards, MAX_SHARDS)) if isinstance(shards, int) else shards


class Interval(Model):
    """A confidence interval."""

    low: float = Field(ge=0, le=1)
    """Its low end."""
    high: float = Field(ge=0, le=1)
    """Its high end."""


class CoveragePoint(Model):
    """The questions that a solver still answers with a minimum confidence."""

    min_confidence: float = Field(ge=0, le=1)
    """The minimum confidence."""
    coverage: float = Field(ge=0, le=1)
    """The share of the exam's questions that reach it."""
    accuracy: float = Field(ge=0, le=1)
    """The share of right answers among these."""
    interval: Interval
    """Its interval. Each end alone holds for all points of the curve at once, with 95 %."""


class ExaminedModel(Model):
    """The model and the prompt that answered an exam; they decide whether two results can be compared."""

    uri: str
    """The model's address."""
    digest: str | None = None
    """SHA-256 of its source weights; left out if another server has the model."""
    precision: str | None = None
    """The number format it computes in; left out if another server computes."""
    prompt_digest: str | None = None
    """SHA-256 of the prompt's constant parts."""


class ReportRef(Model):
    """The location of a full report."""

    config_map: str
    """The ConfigMap."""
    name: str
    """The sitting; the report's keys begin with it."""
    shards: Annotated[int, BeforeValidator(_bounded)] = Field(1, ge=0, le=MAX_SHARDS)
    """The number of shards of the questions. The ConfigMaps NAME-0, NAME-1 and so on have one each."""
    digest: str | None = None
    """SHA-256 of the result, as the exam's Pods reported it; left out for a result from a backup."""


class ExamStatus(ResourceStatus):
    """The observed state of an exam, with the figures of its last result."""

    solver: str = ""
    """The MCQSolver that takes the exam."""
    summary: str = ""
    """The accuracy with its 95 % interval, for people."""
    accuracy: float | None = Field(None, ge=0, le=1)
    """The share of right answers among the answered questions."""
    ci95: Interval | None = None
    """Its 95 % interval (Wilson)."""
    calibration_error: float | None = Field(None, ge=0, le=1)
    """The expected calibration error, in 15 bins of equal width."""
    count: int | None = Field(None, ge=0)
    """The number of answered questions."""
    unanswered: int | None = Field(None, ge=0)
    """The number of unanswered questions. No figure includes them; the condition Passed counts them as wrong."""
    p95_seconds: float | None = Field(None, ge=0)
    """The time in which 95 % of the answers arrived, in seconds."""
    sat: str | None = Field(None, json_schema_extra={"format": "date-time"})
    """When the last answer arrived."""
    exam_digest: str | None = None
    """SHA-256 of the questions' file."""
    template_digest: str = ""
    """A digest of the replicas that the conditions are about: the present ones or, with a schedule, those that
    answered last. It is empty if the replicas changed during the sitting."""
    model: ExaminedModel | None = None
    """The model that answered."""
    risk_coverage: list[CoveragePoint] | None = Field(None, max_length=20)
    """The risk-coverage curve: the accuracy of a solver that abstains below a minimum confidence, from all questions
    to the most confident ones."""
    report: ReportRef | None = None
    """The full report; `python -m mcq_operator exam report NAME` prints it."""
