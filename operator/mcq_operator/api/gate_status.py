"""The status of a gated change: its exam, its watch, and an override."""

from typing import Literal

from pydantic import Field

from .base import Fraction, Model
from .resource_status import LONGEST_MESSAGE, LONGEST_REASON

GatePhase = Literal["Waiting", "Sitting", "Passed", "Refused", "Inconclusive", "Overridden"]


class GateTerms(Model):
    """The limits that a gate sets for a change."""

    exam: str
    """The MCQExam that the candidate must pass."""
    min_accuracy: Fraction | None = None
    """The lowest accuracy that passes."""
    max_regression: Fraction | None = None
    """The largest allowed loss of accuracy."""
    max_calibration_error: Fraction | None = None
    """The largest expected calibration error that passes."""


class ModeTraffic(Model):
    """The answered questions of one mode."""

    mode: str
    """The mode."""
    questions: int = Field(ge=0)
    """The number of questions."""
    seconds: float = Field(ge=0)
    """Their total time, in seconds."""


class Traffic(Model):
    """The questions that some replicas got, from their start until the operator last read their counts."""

    questions: int = Field(0, ge=0)
    """Valid questions."""
    failed: int = Field(0, ge=0)
    """Questions without an answer."""
    abstained: int = Field(0, ge=0)
    """Questions that the replicas abstained from."""
    modes: list[ModeTraffic] = Field(default_factory=list, max_length=16)
    """The answered questions by mode."""


class WatchStatus(Model):
    """How the replicas of a change compare with the earlier ones while they answer users."""

    since: str | None = Field(None, json_schema_extra={"format": "date-time"})
    """When the roll-out was complete; left out until then."""
    ended: bool = False
    """Whether the watch has ended."""
    before: Traffic
    """The earlier replicas."""
    after: Traffic = Traffic()
    """The change's replicas, at the end of the watch."""


class GateStatus(Model):
    """The progress of a change that must pass an exam."""

    candidate: str
    """A digest of the change and the gate's limits."""
    attempt: str = ""
    """A digest of the candidate's spec, the exam's spec and its questions. With another one, a change that did not
    pass takes the exam again."""
    change: str = ""
    """The digest of the change; an approval names it."""
    generation: int = Field(ge=0)
    """The spec's generation with the change."""
    phase: GatePhase
    """Waiting (for the current replicas' result), Sitting (the candidate takes the exam), or the outcome."""
    replica_set: str
    """The ReplicaSet of the replicas that answer until the change passes; empty if it is gone."""
    template_digest: str
    """A digest of those replicas' template."""
    reason: str = Field(max_length=LONGEST_REASON)
    """The reason, in one word."""
    message: str = Field(max_length=LONGEST_MESSAGE)
    """The reason, with figures."""
    image: str = ""
    """The digest of the image that passed; left out if the node does not report it."""
    previous: str = ""
    """The digest of the change before this one, to which the operator goes back if the watch refuses this one."""
    watch: WatchStatus | None = None
    """The watch of the change's replicas, if the gate has one."""


class Override(Model):
    """A change that went through without passing the previous gate."""

    annotation: str
    """The value of the annotation mcq-operator.dev/promote, if it let the change through. A value works once."""
    candidate: str
    """A digest of the change and the gate's limits."""
    change: str = ""
    """The digest of the change."""
    reason: str = ""
    """Overridden by the annotation, GateRemoved, GateLoosened or ChangedBack."""
    gate: GateTerms | None = None
    """The limits of the previous gate."""
    time: str = Field(json_schema_extra={"format": "date-time"})
    """When the operator observed the change."""
