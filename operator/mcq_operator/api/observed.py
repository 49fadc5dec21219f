"""The observations of a reconcile: the input for computing the status."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from .base import Manifest
from .exam_status import ReportRef
from .gate_status import Traffic
from .resource_status import ObjectRef, ResourceStatus
from .result import Count
from .solver import MCQSolver


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A Deployment's progress in numbers, its template's annotations, and how many of its Pods' volumes are images."""

    uid: str
    generation: int
    observed_generation: int
    desired: int
    replicas: int
    updated: int
    ready: int
    available: int
    conditions: dict[str, dict[str, Any]] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    image_volumes: int = 0

    @classmethod
    def of(cls, manifest: Manifest) -> "Deployment":
        """Read a Deployment as the API server returns it."""
        status, template = manifest.get("status", {}), manifest["spec"]["template"]
        return cls(
            uid=manifest["metadata"]["uid"],
            generation=manifest["metadata"].get("generation", 0),
            observed_generation=status.get("observedGeneration", 0),
            desired=manifest["spec"].get("replicas", 1),
            replicas=status.get("replicas", 0),
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            available=status.get("availableReplicas", 0),
            conditions={condition["type"]: condition for condition in status.get("conditions", [])},
            annotations=template.get("metadata", {}).get("annotations", {}),
            image_volumes=sum("image" in volume for volume in template["spec"].get("volumes", ())),
        )

    @property
    def current(self) -> bool:
        """Whether the status is about the newest spec."""
        return self.observed_generation >= self.generation

    @property
    def complete(self) -> bool:
        """Whether exactly the desired replicas exist, all of the newest revision and available."""
        return self.current and self.replicas == self.updated == self.available == self.desired

    @property
    def has_earlier(self) -> bool:
        """Whether replicas of an earlier revision may still answer."""
        return self.replicas > (self.updated if self.current else 0)

    @property
    def has_only_newest(self) -> bool:
        """Whether a replica is available, and every one has the newest revision, so that no earlier one can answer."""
        return self.current and self.replicas == self.updated and self.available > 0

    def rolled_out(self, solver: MCQSolver) -> bool:
        """Return whether every replica has the newest revision, and the desired number is available.

        An autoscaler changes the number at any time; with one, its minimum is enough.
        """
        scaling = solver.spec.autoscaling
        if not scaling.enabled:
            return self.complete and self.desired > 0
        least = min(scaling.min_replicas, self.desired)
        return self.current and self.replicas == self.updated and self.available >= least > 0


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A failed operation on an object.

    Attributes:
        ref: the object.
        message: the server's message.
        attempt: the operation.
        temporary: whether a retry may help.

    """

    ref: ObjectRef
    message: str
    attempt: Literal["apply", "delete", "read"] = "apply"
    temporary: bool = False


@dataclass(frozen=True, kw_only=True)
class Rival:
    """An older Ingress or HTTPRoute that takes requests meant for the solver's own.

    Attributes:
        ref: kind, namespace and name, for people.
        route: its host and path.
        elsewhere: whether it is in another namespace; the operator then does not apply the solver's own object.

    """

    ref: str
    route: str
    elsewhere: bool


@dataclass(frozen=True, kw_only=True)
class WarningEvent:
    """A warning Event: a node can't start a Pod, or a controller can't create a Pod for a Job.

    Attributes:
        kind: Pod or Job.
        name: the object's name.
        reason: the Event's reason, one word.
        message: the Event's note.

    """

    kind: str
    name: str
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class CanaryVerdict:
    """The outcome of the canary question."""

    outcome: Literal["answered", "failed", "pending"]
    detail: str = ""


class KeyCount(BaseModel):
    """How many API keys a replica accepts, and how many entries of its Secret are invalid, as it reports them."""

    accepted: Count
    invalid: Count


@dataclass(frozen=True, kw_only=True)
class ObservedBackups:
    """The namespace's backups: the CronJob, its Jobs and their Pods."""

    cron_job: Manifest
    jobs: list[Manifest]
    pods: list[Manifest]
    warning: WarningEvent | None = None


@dataclass(frozen=True, kw_only=True)
class ObservedSolver:
    """The observations of a reconcile of a solver.

    Attributes:
        deployment: the solver's own Deployment, if it exists.
        pods: the replicas' Pods as the API server returns them.
        conflicts: desired objects with the name of someone else's object.
        blocked: desired objects that the operator left alone because they depend on one in conflict.
        refused: objects that could not be applied, deleted or read.
        absent: desired objects of kinds that the API server does not know.
        scaler: the HorizontalPodAutoscaler or ScaledObject, if there is one.
        replica_sets: the Deployment's ReplicaSets, if a roll-out may need undoing.
        ingress: the solver's Ingress, if there is one.
        route: the solver's HTTPRoute, if there is one.
        monitored: whether there is a ServiceMonitor or a PrometheusRule.
        rivals: older Ingresses and HTTPRoutes that take the solver's requests.
        warning: the last warning about a replica that can't be created.
        starting: the start-up step that an unready replica reports.
        backups: the namespace's backups, if the operator could apply them.
        keys: the API keys that a replica counted, if it needs keys and reported the counts.
        traffic: the question counts of the ready replicas, while a gate needs them.
        escalation: the status of the solver that this one escalates to, if that solver exists.

    """

    deployment: Deployment | None = None
    pods: list[Manifest] = field(default_factory=list)
    conflicts: list[ObjectRef] = field(default_factory=list)
    blocked: list[ObjectRef] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    absent: list[ObjectRef] = field(default_factory=list)
    scaler: Manifest | None = None
    replica_sets: list[Manifest] = field(default_factory=list)
    ingress: Manifest | None = None
    route: Manifest | None = None
    monitored: bool = False
    rivals: list[Rival] = field(default_factory=list)
    warning: WarningEvent | None = None
    starting: str = ""
    backups: ObservedBackups | None = None
    keys: KeyCount | None = None
    traffic: Traffic | None = None
    escalation: ResourceStatus | None = None


@dataclass(frozen=True, kw_only=True)
class ObservedExam:
    """The observations of a reconcile of an exam.

    Attributes:
        solver: the solver that takes it, if it exists.
        job: the Job that asks the current replicas, or the last scheduled one.
        jobs: every Job of the exam or its CronJob.
        results: the ConfigMap with the results, which its Pods write.
        pods: its Pods.
        baseline: the report of the baseline exam, if there is one.
        restored: the restored sitting of the current replicas; it has no Job.
        conflicts, blocked, refused, warning: as in ObservedSolver.

    """

    solver: MCQSolver | None = None
    job: Manifest | None = None
    jobs: list[Manifest] = field(default_factory=list)
    results: Manifest | None = None
    baseline: ReportRef | None = None
    restored: str | None = None
    pods: list[Manifest] = field(default_factory=list)
    conflicts: list[ObjectRef] = field(default_factory=list)
    blocked: list[ObjectRef] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    warning: WarningEvent | None = None


def is_ready(pod: Manifest) -> bool:
    """Return whether the Pod's readiness probe passes."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
