"""The statuses: observed facts, never expectations."""

from typing import Literal

from pydantic import Field

from .base import Fraction, Model

LONGEST_REASON = 1024
LONGEST_MESSAGE = 32768
"""The limits of metav1.Condition, in characters."""


class Condition(Model):
    """One observed aspect, in the form of metav1.Condition."""

    type: str = Field(max_length=316)
    """The aspect."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    observed_generation: int = Field(0, ge=0)
    """The spec's generation that this is about."""
    last_transition_time: str = Field("", json_schema_extra={"format": "date-time"})
    """When status last changed."""
    reason: str = Field(max_length=LONGEST_REASON)
    """One word for programs."""
    message: str = Field(max_length=LONGEST_MESSAGE)
    """A message for people: the situation and what to do about it."""


class ObjectRef(Model):
    """An object that the operator created for a resource, in the resource's namespace."""

    api_version: str
    """The object's group and version."""
    kind: str
    """The object's kind."""
    name: str
    """The object's name."""


GatePhase = Literal["Waiting", "Sitting", "Passed", "Refused", "Inconclusive", "Overridden"]


class GateTerms(Model):
    """The limits that a gate sets for a change."""

    exam: str
    """The MCQExam that the candidate must pass."""
    min_accuracy: Fraction | None = None
    """The lowest accuracy."""
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
    change: str = ""
    """The digest of the change; an approval names it."""
    generation: int = Field(ge=0)
    """The spec's generation with the change."""
    phase: GatePhase
    """Waiting (for the current replicas' result), Sitting (the candidate takes the exam), or the outcome."""
    replica_set: str
    """The ReplicaSet of the replicas that answer until the change passes."""
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
    """Overridden by the annotation, GateRemoved or GateLoosened."""
    gate: GateTerms | None = None
    """The limits of the previous gate."""
    time: str = Field(json_schema_extra={"format": "date-time"})
    """When the operator observed the change."""


class ResourceStatus(Model):
    """The fields of every status."""

    observed_generation: int = Field(0, ge=0)
    """The spec's generation that this status is about."""
    conditions: list[Condition] = Field(
        default_factory=list,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """The observed aspects."""
    inventory: list[ObjectRef] = Field(
        default_factory=list,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["apiVersion", "kind", "name"],
        },
    )
    """The objects of this resource. The operator deletes those in this list that the spec no longer needs."""

    def is_true(self, condition: str) -> bool:
        """Return whether the condition of this type is True."""
        return any(each.type == condition and each.status == "True" for each in self.conditions)


class ObservedModel(Model):
    """The model that replicas load."""

    uri: str
    """The model's address."""


class Rollback(Model):
    """A roll-out that the operator undid."""

    generation: int = Field(ge=0)
    """The spec's generation that did not start."""
    digest: str
    """A digest of those replicas' template: the operator tries the spec again once it yields another digest."""
    replica_set: str
    """The ReplicaSet that the operator went back to."""
    reason: str
    """Why the replicas did not start, in one word."""
    message: str = Field(max_length=LONGEST_MESSAGE)
    """Why the replicas did not start, for people."""


class Interval(Model):
    """A confidence interval."""

    low: float = Field(ge=0, le=1)
    """Its low end."""
    high: float = Field(ge=0, le=1)
    """Its high end."""


class LastExam(Model):
    """The last exam of a solver's current replicas."""

    name: str
    """The MCQExam."""
    accuracy: float = Field(ge=0, le=1)
    """The share of right answers."""
    ci95: Interval
    """Its 95 % interval (Wilson)."""
    count: int = Field(0, ge=0)
    """The number of answered questions."""
    sat: str = Field(json_schema_extra={"format": "date-time"})
    """When the last answer arrived."""


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


class Threshold(CoveragePoint):
    """The minimum confidence that the operator set for spec.answering.targetAccuracy, and the exam that it is from."""

    target_accuracy: float = Field(ge=0, le=1)
    """The target accuracy that it was set for; the low end of the interval reaches it."""
    exam: str
    """The MCQExam."""
    count: int = Field(ge=0)
    """The number of its answered questions."""
    sat: str = Field(json_schema_extra={"format": "date-time"})
    """When its last answer arrived."""
    report_digest: str
    """SHA-256 of its result, as the exam's Pods reported it."""
    template_digest: str
    """A digest of the replicas that took it."""


class SolverStatus(ResourceStatus):
    """The observed state of a solver."""

    replicas: int = Field(0, ge=0)
    """Replicas that exist."""
    ready_replicas: int = Field(0, ge=0)
    """Replicas that can answer."""
    selector: str = ""
    """The replicas' label selector, for autoscalers."""
    url: str = ""
    """The solver's address for clients: of its Ingress or Gateway, or inside the cluster without one."""
    model: ObservedModel | None = None
    """The model that replicas load."""
    template_digest: str = ""
    """A digest of the replicas' template. When it changes, the solver's exams run again."""
    release: str = ""
    """The operator's release that the replicas come from: its version and the service's image."""
    exam: LastExam | None = None
    """The last exam of the current replicas; left out until they have completed one."""
    threshold: Threshold | None = None
    """The minimum confidence for spec.answering.targetAccuracy; left out before the first exam that reaches it."""
    answering: bool = False
    """Whether all replicas that should answer now are available, and have answered a test question."""
    promoted: str = ""
    """The digest of everything that may change the replicas' answers. A new digest must pass the gate."""
    gate: GateStatus | None = None
    """The last change that needed to pass an exam."""
    last_gate: GateTerms | None = None
    """The gate's limits for the next change. A change that removes the gate or loosens its limits is recorded as an
    override."""
    override: Override | None = None
    """The last change that went through without passing its gate."""
    image: str = ""
    """The digest of the image that the ready replicas run, as their nodes report it; empty while they differ."""
    rollback: Rollback | None = None
    """The undone roll-out, as long as the spec still asks for it."""


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
    shards: int = 1
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
    """A digest of the replicas that the conditions are about; with a schedule, of those that answered last."""
    model: ExaminedModel | None = None
    """The model that answered."""
    risk_coverage: list[CoveragePoint] | None = Field(None, max_length=20)
    """The risk-coverage curve: the accuracy of a solver that abstains below a minimum confidence, from all questions
    to the most confident ones."""
    report: ReportRef | None = None
    """The full report; `python -m mcq_operator exam report NAME` prints it."""
