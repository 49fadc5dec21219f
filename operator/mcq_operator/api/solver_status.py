"""The status of a solver."""

from pydantic import Field

from .base import Model
from .exam_status import CoveragePoint, Interval
from .gate_status import GateStatus, GateTerms, Override
from .resource_status import LONGEST_MESSAGE, ResourceStatus


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
    """The digest of everything that may change the replicas' answers. A new digest must pass the gate. It is empty
    until the first replicas answer."""
    previous: str = ""
    """The digest before `promoted`, if its replicas answered. If the present replicas don't answer, the spec may go
    back to it without an exam."""
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
