"""The statuses: what was observed, never what is hoped for."""

from typing import Literal

from pydantic import Field

from .base import Fraction, Model

LONGEST_REASON = 1024
LONGEST_MESSAGE = 32768
"""Characters, as metav1.Condition has them."""


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
    """A sentence for people: what is the case and what to do about it."""


class ObjectRef(Model):
    """An object that the operator made for a resource, in the resource's namespace."""

    api_version: str
    """The object's group and version."""
    kind: str
    """The object's kind."""
    name: str
    """The object's name."""


GatePhase = Literal["Waiting", "Sitting", "Passed", "Refused", "Inconclusive", "Overridden"]


class GateTerms(Model):
    """What a gate asks of a change."""

    exam: str
    """The MCQExam that is sat."""
    min_accuracy: Fraction | None = None
    """The least accuracy."""
    max_regression: Fraction | None = None
    """The greatest loss of accuracy."""
    max_calibration_error: Fraction | None = None
    """The greatest expected calibration error."""


class GateStatus(Model):
    """How far a change is that has to pass an exam."""

    candidate: str
    """What tells this change, and what is asked of it, from others."""
    change: str = ""
    """The digest of the change: an approval names it."""
    generation: int = Field(ge=0)
    """The spec's generation that asked for it."""
    phase: GatePhase
    """Waiting for the present replicas' result, Sitting the exam, or what became of it."""
    replica_set: str
    """The ReplicaSet of the replicas that answer meanwhile."""
    template_digest: str
    """What tells those replicas from others."""
    reason: str = Field(max_length=LONGEST_REASON)
    """Why, in one word."""
    message: str = Field(max_length=LONGEST_MESSAGE)
    """Why, with figures."""
    image: str = ""
    """The digest of the image by which it passed; left out where the node does not tell it."""


class Override(Model):
    """A change that was let through without having passed what the gate before it asked."""

    annotation: str
    """What the annotation mcq-operator.dev/promote said, if that let it through; it does so once."""
    candidate: str
    """The change, and what was asked of it."""
    change: str = ""
    """The digest of the change."""
    reason: str = ""
    """Overridden by the annotation, GateRemoved or GateLoosened."""
    gate: GateTerms | None = None
    """What the gate before it asked."""
    time: str = Field(json_schema_extra={"format": "date-time"})
    """When it was seen."""


class ResourceStatus(Model):
    """What every status has."""

    observed_generation: int = Field(0, ge=0)
    """The spec's generation that this status is about."""
    conditions: list[Condition] = Field(
        default_factory=list,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """Each aspect that is observed."""
    inventory: list[ObjectRef] = Field(
        default_factory=list,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["apiVersion", "kind", "name"],
        },
    )
    """The objects made for this resource; what is no longer wanted is deleted by this list."""

    def is_true(self, condition: str) -> bool:
        """Whether the condition of this type is True."""
        return any(each.type == condition and each.status == "True" for each in self.conditions)


class ObservedModel(Model):
    """The model that replicas were told to load."""

    uri: str
    """The model's address."""


class Rollback(Model):
    """A roll-out that was undone."""

    generation: int = Field(ge=0)
    """The spec's generation whose replicas did not start."""
    digest: str
    """What tells those replicas from others: the spec is tried again once it means other ones."""
    replica_set: str
    """The ReplicaSet that was gone back to."""
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


class SatExam(Model):
    """The last exam of a solver's present replicas."""

    name: str
    """The MCQExam."""
    accuracy: float = Field(ge=0, le=1)
    """The share of questions that were answered right."""
    ci95: Interval
    """Its 95 % interval (Wilson)."""
    count: int = Field(0, ge=0)
    """Questions that were answered."""
    sat: str = Field(json_schema_extra={"format": "date-time"})
    """When the last question was answered."""


class SolverStatus(ResourceStatus):
    """What was observed of a solver."""

    replicas: int = Field(0, ge=0)
    """Replicas that exist."""
    ready_replicas: int = Field(0, ge=0)
    """Replicas that can answer."""
    selector: str = ""
    """The replicas' label selector, for autoscalers."""
    url: str = ""
    """Where the solver is asked: through its Ingress, or inside the cluster without one."""
    model: ObservedModel | None = None
    """The model."""
    template_digest: str = ""
    """What tells the replicas that the spec means from others: an exam is sat anew when they change."""
    release: str = ""
    """The operator's release that the replicas are of: its version and the service's image."""
    exam: SatExam | None = None
    """How right it is; left out while the present replicas have sat no exam."""
    answering: bool = False
    """Whether all replicas that are to answer now are available, and a test question was answered."""
    promoted: str = ""
    """The digest of all that may change the replicas' answers: a change of it has to pass the gate."""
    gate: GateStatus | None = None
    """The last change that had to pass an exam."""
    last_gate: GateTerms | None = None
    """What the gate asks of the next change. If that comes without a gate, or with one that asks less, it is recorded
    as an override."""
    override: Override | None = None
    """The last change that was let through without."""
    image: str = ""
    """The digest of the image that the ready replicas run, as their nodes tell it; empty while they differ."""
    rollback: Rollback | None = None
    """The roll-out that was undone, while the spec that was is still asked for."""


class SatModel(Model):
    """Which model answered an exam, and by which prompt: results are compared by it."""

    uri: str
    """The model's address."""
    digest: str | None = None
    """SHA-256 of its source weights; left out where another server has it."""
    precision: str | None = None
    """The number format it computes in; left out where another server does."""
    prompt_digest: str | None = None
    """SHA-256 of the prompt's constant parts."""


class ReportRef(Model):
    """Where a whole report is."""

    config_map: str
    """The ConfigMap."""
    name: str
    """The sitting: the report's keys begin with it."""
    shards: int = 1
    """How many shares the questions were asked in: the ConfigMaps NAME-0, NAME-1 and so on have one each."""
    digest: str | None = None
    """SHA-256 of the result, which the exam's Pods have stated; left out where it is from a backup."""


class ExamStatus(ResourceStatus):
    """What was observed of an exam: the figures are of its last result."""

    solver: str = ""
    """The MCQSolver that is asked."""
    summary: str = ""
    """The accuracy with its 95 % interval, for people."""
    accuracy: float | None = Field(None, ge=0, le=1)
    """The share of answered questions that were answered right."""
    ci95: Interval | None = None
    """Its 95 % interval (Wilson)."""
    calibration_error: float | None = Field(None, ge=0, le=1)
    """The expected calibration error, in 15 bins of equal width."""
    count: int | None = Field(None, ge=0)
    """Questions that were answered."""
    unanswered: int | None = Field(None, ge=0)
    """Questions that were not. They are in no figure, and count as wrong for the condition Passed."""
    p95_seconds: float | None = Field(None, ge=0)
    """The time within which 95 % of the answers came."""
    sat: str | None = Field(None, json_schema_extra={"format": "date-time"})
    """When the last question was answered."""
    exam_digest: str | None = None
    """SHA-256 of the file of questions."""
    template_digest: str = ""
    """What tells the replicas that the conditions are about from others: of a schedule those that answered last."""
    model: SatModel | None = None
    """What answered."""
    report: ReportRef | None = None
    """The whole report: python -m mcq_operator exam report NAME."""
